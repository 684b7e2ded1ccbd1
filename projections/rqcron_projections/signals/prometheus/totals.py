"""Counters and histograms, from the totals of the projection ``days``, which only grow."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from operator import add
from typing import Any

from django.db.models import TextField, Value
from django.db.models.functions import Cast, Concat

from rqcron_events.core.events import OUTCOMES
from rqcron_events.core.events.types import Reason
from rqcron_events.ledger import store

from ...cron_total import BOUNDS_SECONDS, MEASURES, CronTotal
from .exposition import Exposition, label, measure_lines

__all__ = ["OTHER", "tell_totals"]

ROWS_PER_READ = 2_000
OTHER = "other"
"""What a newer release decided or found, and this one has no word for."""
_REASONS = {
    "skipped": (Reason.OVERLAP, Reason.PAUSED, Reason.ALL_PAUSED, Reason.DISABLED),
    "missed": (Reason.TOO_LATE, Reason.SUPERSEDED, Reason.RETIRED, Reason.DECISION_LOST),
}
_SLOTS = {
    "fired": f"{label('decision', 'fired')},{label('reason', '')}",
    **{
        f"{decision}/{reason.value}": f"{label('decision', decision)},{label('reason', reason.value)}"
        for decision, reasons in _REASONS.items()
        for reason in reasons
    },
}
_OUTCOMES = {
    name: label("outcome", name)
    for name in sorted(outcome.value.removeprefix("run_") for outcome in OUTCOMES)
}
SLOTS, RUNS = "rqcron_cron_slots_total", "rqcron_cron_runs_total"
_COUNTED: tuple[tuple[str, Mapping[str, str], str], ...] = tuple(
    (metric, known, "".join(f"{metric}{{%s,{labels}}} %d\n" for labels in known.values()))
    for metric, known in ((SLOTS, _SLOTS), (RUNS, _OUTCOMES))
)
"""Metric, labels by key, and the lines of one cron: one format of all is quicker than each."""
_SUMS = [f"{measure}_sum_us" for measure in MEASURES]
_JSON = ("slots", "outcomes")
_COUNTS = [f"{measure}_buckets" for measure in MEASURES]


def tell_totals(out: Exposition, labels: Mapping[str, str], *, buckets_by_cron: bool) -> None:
    """``labels`` are those of the crons that have series, by stored name. Raises Django's database
    errors."""
    unreadable = 0
    sums, counts = [0] * len(MEASURES), [[0] * (len(BOUNDS_SECONDS) + 1) for _ in MEASURES]
    for cron, requested, failed_attempts, *sums_us, json_text in _rows():
        own = labels.get(cron)
        try:
            slots, outcomes, *buckets = json.loads(json_text)
            counts_now = [list(map(add, *pair)) for pair in zip(counts, buckets, strict=True)]
            lines = (
                _lines(own, slots, outcomes, sums_us, buckets, all_of_it=buckets_by_cron)
                if own
                else {}
            )
        except Exception:  # somebody changed it; it stays out
            unreadable += 1
            continue
        # Retired ones too: a sum that leaves one out would shrink.
        sums, counts = list(map(add, sums, sums_us)), counts_now
        for metric, text in lines.items():
            out.add_lines(metric, text)
        if own:
            out.add("rqcron_cron_runs_requested_total", requested, own)
            out.add("rqcron_cron_failed_attempts_total", failed_attempts, own)
    out.add("rqcron_totals_unreadable", unreadable)
    for measure, sum_us, counted in zip(MEASURES, sums, counts, strict=True):
        metric = f"rqcron_{measure}_seconds"
        out.add_lines(metric, measure_lines(metric, sum_us, counted, buckets=True))
        if buckets_by_cron:
            out.kinds[f"rqcron_cron_{measure}_seconds"] = "histogram"


def _rows() -> Iterator[tuple[Any, ...]]:
    """Name, numbers, and all the rest as one text of JSON: parsed at once, it takes a third of the time."""
    texts: list[Any] = [Value("[")]
    for name in _JSON:
        texts += [Cast(name, TextField()), Value(",")]
    for name in _COUNTS:
        texts += [Value("["), name, Value("],")]
    texts[-1] = Value("]]")
    rows = CronTotal.objects.using(store.connection().alias).order_by()
    rows = rows.annotate(json_text=Concat(*texts, output_field=TextField()))
    names = ("cron", "requested", "attempts_failed", *_SUMS, "json_text")
    return rows.values_list(*names).iterator(chunk_size=ROWS_PER_READ)


def _lines(
    own: str,
    slots: Mapping[str, int],
    outcomes: Mapping[str, int],
    sums_us: Sequence[int],
    buckets: Sequence[Sequence[int]],
    *,
    all_of_it: bool,
) -> dict[str, str]:
    """By metric. Zeros too: an increase from nothing to one is none for Prometheus."""
    found = {}
    for (metric, known, form), counted in zip(_COUNTED, (slots, outcomes), strict=True):
        found[metric] = form % tuple(x for key in known for x in (own, counted.get(key, 0)))
        if counted.keys() - known.keys():
            found[metric] += _others(metric, known, counted, own)
    for measure, sum_us, counts in zip(MEASURES, sums_us, buckets, strict=True):
        metric = f"rqcron_cron_{measure}_seconds"
        found[metric] = measure_lines(metric, sum_us, counts, own, buckets=all_of_it)
    return found


def _others(metric: str, known: Mapping[str, str], counted: Mapping[str, int], own: str) -> str:
    """Of a newer release: one sample for each decision, one for all outcomes."""
    others: Counter[str] = Counter()
    for key in counted.keys() - known.keys():
        decision, reason = label("decision", key.partition("/")[0]), label("reason", OTHER)
        others[f"{decision},{reason}" if metric == SLOTS else label("outcome", OTHER)] += counted[
            key
        ]
    return "".join(f"{metric}{{{own},{labels}}} {count}\n" for labels, count in others.items())
