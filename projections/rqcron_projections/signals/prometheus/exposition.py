"""Prometheus' text format, version 0.0.4.

Written here because ``prometheus_client`` takes several times as long for the 370,000 samples of
10,000 crons.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate

from ...cron_total import BOUNDS_SECONDS
from .metrics import METRICS

__all__ = ["CONTENT_TYPE", "LABEL_CHARACTERS_MAX", "Exposition", "label", "measure_lines"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LABEL_CHARACTERS_MAX = 200
_LE = (*(f"{bound:g}" for bound in BOUNDS_SECONDS), "+Inf")
_ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def label(name: str, value: object) -> str:
    """``name="value"``, escaped and bounded. Half of a pair of surrogates is no UTF-8."""
    text = str(value)[:LABEL_CHARACTERS_MAX].encode("utf-8", "replace").decode()
    return f'{name}="{text.translate(_ESCAPED)}"'


def measure_lines(
    metric: str, sum_us: int, counts: Sequence[int], labels: str = "", *, buckets: bool
) -> str:
    """The lines of a measure in microseconds, whose values are counted by bucket."""
    braces = f"{{{labels}}}" if labels else ""
    lines = f"{metric}_sum{braces} {sum_us / 1_000_000}\n{metric}_count{braces} {sum(counts)}\n"
    if not buckets:
        return lines
    comma = f"{labels}," if labels else ""
    bounds = zip(_LE, accumulate(counts), strict=True)
    told = [f'{metric}_bucket{{{comma}le="{bound}"}} {count}\n' for bound, count in bounds]
    return "".join(told) + lines


class Exposition:
    """Samples by metric. ``labels`` are texts as ``label`` makes them, joined by commas."""

    def __init__(self) -> None:
        self._lines: defaultdict[str, list[str]] = defaultdict(list)
        self.kinds: dict[str, str] = {}
        """Of metrics that are told as another kind than METRICS says."""

    def add(self, metric: str, value: float, labels: str = "") -> None:
        """One sample of a metric in METRICS."""
        self._lines[metric].append(
            f"{metric}{{{labels}}} {value}\n" if labels else f"{metric} {value}\n"
        )

    def add_lines(self, metric: str, lines: str) -> None:
        """Samples of it that are written already."""
        self._lines[metric].append(lines)

    def merge(self, other: Exposition) -> None:
        """Add what another has; each metric but ``rqcron_scrape_part_ok`` is in one of them only."""
        self._lines.update(other._lines)
        self.kinds.update(other.kinds)

    def text(self) -> str:
        """All of it, metric by metric."""
        parts: list[str] = []
        for name, metric in METRICS.items():
            if lines := self._lines.get(name):
                parts.append(f"# HELP {name} {metric.help}\n")
                parts.append(f"# TYPE {name} {self.kinds.get(name, metric.kind)}\n")
                parts += lines
        return "".join(parts)
