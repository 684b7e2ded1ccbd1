"""How the database finds runs without incident: one row instead of four, made where the rows are.

Both databases take these statements; ``postgresql`` and ``sqlite`` say how each reads
JSON and times. A run is clean by what the window ``after < id <= ahead`` shows of it: one that is
not over by then is read event by event.
"""

from __future__ import annotations

from collections.abc import Callable

from ..core.clean_run.run import CLEAN_TYPES

__all__ = ["PAGE_ENDS", "clean_runs_statement"]

PAGE_ENDS = """
    SELECT
        (SELECT id FROM rqcron_event WHERE id > %(after)s AND id <= %(until)s
            ORDER BY id LIMIT 1 OFFSET %(events)s),
        (SELECT id FROM rqcron_event WHERE id > %(after)s AND id <= %(until)s
            ORDER BY id LIMIT 1 OFFSET %(ahead)s)
"""
"""Ids of the events at two places behind ``after``, NULL where there are not so many. Ids have
gaps, some of them wide: a range of ids says nothing about how many events it holds."""


def clean_runs_statement(
    *,
    run_id: str,
    group: str,
    time: Callable[[str], str],
    lateness: str,
    queue: str,
    duration: str,
    exact: str,
    has_slot: str,
    has_no_error: str,
    in_range: str = "",
) -> str:
    """Columns as in ``core.clean_run.CleanRun``; parameters ``after``, ``until`` (for the first
    event of a run) and ``ahead`` (for all four).

    ``run_id`` is how a run is shown and ``group`` how it is grouped by; ``time`` shows an aggregate
    of times; ``exact`` is a collation that compares bytes; the others are expressions and
    conditions on the data of the event that has them. ``in_range`` is a condition on each time, where
    the database has times that Python does not have.
    """

    def of(kind: str, expression: str) -> str:
        return f"MAX({expression}) FILTER (WHERE type = '{kind}')"

    times = [of("slot_fired", "scheduled_for"), *(of(kind, "occurred_at") for kind in CLEAN_TYPES)]
    possible = "".join(f" AND {time_of_run} {in_range}" for time_of_run in times if in_range)
    return f"""
    SELECT {run_id}, MAX(cron {exact}), MIN(id), MAX(id),
        {time(of("slot_fired", "scheduled_for"))},
        {time(of("slot_fired", "occurred_at"))},
        {of("slot_fired", f"actor {exact}")},
        {of("slot_fired", lateness)},
        {of("run_enqueued", f"({queue}) {exact}")},
        {time(of("run_enqueued", "occurred_at"))},
        {time(of("run_started", "occurred_at"))},
        {of("run_started", f"actor {exact}")},
        {time(of("run_succeeded", "occurred_at"))},
        {of("run_succeeded", duration)}
    FROM rqcron_event
    WHERE id > %(after)s AND id <= %(ahead)s AND run_id IS NOT NULL
    GROUP BY {group}
    HAVING COUNT(*) = 4
        AND MIN(id) <= %(until)s
        AND MAX(schema_version) = 1
        AND MAX(cron {exact}) <> '' AND MIN(cron {exact}) = MAX(cron {exact})
        AND MIN(id) = MIN(id) FILTER (
            WHERE type = 'slot_fired' AND scheduled_for IS NOT NULL AND reason = '' AND {has_slot}
        )
        AND COUNT(*) FILTER (WHERE type = 'run_enqueued') = 1
        AND COUNT(*) FILTER (WHERE type = 'run_started' AND attempt = 1) = 1
        AND MAX(id) = MAX(id) FILTER (
            WHERE type = 'run_succeeded' AND reason = '' AND COALESCE(attempt, 1) = 1
                AND {has_no_error}
        ){possible}
    """  # noqa: S608
