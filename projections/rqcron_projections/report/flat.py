"""The rows of a report without anything nested: for CSV, and named as in the view ``rqcron_day_v``."""

from __future__ import annotations

from typing import Any

from rqcron_events.core.events import Reason

from .report import Report

__all__ = ["fields", "flat_rows"]

REASONS = {
    "skipped": (Reason.OVERLAP, Reason.PAUSED, Reason.ALL_PAUSED, Reason.DISABLED),
    "missed": (Reason.TOO_LATE, Reason.SUPERSEDED, Reason.RETIRED, Reason.DECISION_LOST),
}


def flat_rows(found: Report) -> list[dict[str, Any]]:
    """With counts by reason as columns of their own."""
    return [_flat(row) for row in found.to_data()["rows"]]


def fields(found: Report) -> list[str]:
    """The names of the columns, in their order."""
    names: list[str] = [found.by]
    for name in found.totals.to_data():
        names += [name, *(f"{name}_{reason}" for reason in REASONS.get(name, ()))]
    return names


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    flat = dict(row)
    for name, reasons in REASONS.items():
        counts: dict[str, int] = row[name]
        flat[name] = sum(counts.values())
        flat |= {f"{name}_{reason}": counts.get(reason, 0) for reason in reasons}
    return flat
