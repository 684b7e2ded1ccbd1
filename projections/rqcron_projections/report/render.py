"""A report for people: a table that fits the terminal, and what stands out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, tzinfo
from typing import Any

from rqcron_events.cli.tables import Column, print_rows
from rqcron_events.core.schedule import local_time
from rqcron_events.core.wording import shown

from ..histogram import RELATIVE_ERROR
from ..retention.kept import archived_words, removed_words
from .figures import Figures
from .report import Report

__all__ = ["print_report"]

NAME_CHARACTERS_MAX = 30
SHAPE_CHARACTERS_MAX = 70
NUMBER_CELLS_MAX = 40
"""Numbers are not cut."""
NAME_CELLS_MIN = 16
_NOTHING = "-"


def print_report(stdout: Any, report: Report, zone: tzinfo = UTC) -> None:
    """Write the rows, their totals, and the slowest, the flakiest and the errors if there are;
    instants in ``zone``."""
    stdout.writelines(_heading(report, zone))
    rows = [_cells(row, _group_text(row.group, zone), report.by) for row in report.rows]
    rows.append(_cells(report.totals, "all", report.by))
    columns = [
        Column(key=report.by, head=report.by, cells_min=NAME_CELLS_MIN, middle=True),
        *(
            Column(key=key, head=key, cells_min=NUMBER_CELLS_MAX, right=True)
            for key in list(rows[0])[1:]
        ),
    ]
    print_rows(stdout, rows, columns, "table")
    _print_reasons(stdout, report.totals)
    if report.slowest:
        stdout.writelines(("\n", "Slowest\n"))
        for slow in report.slowest:
            stdout.write(
                f"  {_cut(slow.cron):<{NAME_CHARACTERS_MAX}}  "
                f"p50 {_duration(slow.duration_p50_seconds)}, "
                f"p95 {_duration(slow.duration_p95_seconds)}, "
                f"max {_duration(slow.duration_max_seconds)} in {_number(slow.runs, 'run')}\n"
            )
    if report.flakiest:
        stdout.writelines(("\n", "Flakiest\n"))
        for flaky in report.flakiest:
            stdout.write(
                f"  {_cut(flaky.cron):<{NAME_CHARACTERS_MAX}}  "
                f"{_number(flaky.changes, 'change')} between success and failure, "
                f"{flaky.failed} failed, {_number(flaky.attempts_failed, 'retry', 'retries')}, "
                f"{_percent(flaky.success_rate)} succeeded\n"
            )
    if report.errors:
        stdout.writelines(("\n", "Errors\n"))
        for error in report.errors:
            crons = ", ".join(_cut(name) for name in list(error.crons)[:2])
            more = len(error.crons) - 2
            what = ": ".join(filter(None, (error.type, error.message_shape)))
            stdout.write(
                f"  {error.count:>6}  {_cut(what, SHAPE_CHARACTERS_MAX) or '(no message)'}\n"
            )
            stdout.write(
                f"          {crons}{f' and {more} more' if more > 0 else ''}; "
                f"the last: cron_explain --run {error.run_id}\n"
            )


def _heading(report: Report, zone: tzinfo) -> Iterable[str]:
    if report.from_runs:
        how = "from single runs, exact" if report.exact else "from single runs"
    else:
        how = f"from whole days, percentiles within {RELATIVE_ERROR:.1%}"
    yield f"{_instant_text(report.since, zone)} to {_instant_text(report.until, zone)}, {how}\n"
    if report.runs_kept_from is not None:
        yield f"{removed_words(report.runs_kept_from)}\n"
    if report.decisions_archived_until is not None:
        yield f"{archived_words(report.decisions_archived_until)}\n"
    yield "late, wait: p95 of lateness and queue wait; run: p50 of the duration, then its p95 and max\n"
    yield "\n"


def _cells(figures: Figures, group: str, by: str) -> dict[str, str]:
    outcomes = figures.outcomes
    failed = outcomes["failed"] + outcomes["lost"]
    others = outcomes["stopped"] + outcomes["cancelled"] + outcomes["declined"]
    return {
        by: group,
        "slots": str(figures.expected),
        "fired": str(figures.fired),
        "skip": _count(sum(figures.skipped.values())),
        "miss": _count(sum(figures.missed.values())),
        "ok": str(outcomes["succeeded"]),
        "fail": _count(failed),
        "rate": _percent(figures.success_rate),
        "run": _duration(figures.duration.p50_seconds),
        "late": _duration(figures.lateness.p95_seconds),
        "wait": _duration(figures.queue_wait.p95_seconds),
        "other": _count(others),
        "p95": _duration(figures.duration.p95_seconds),
        "max": _duration(figures.duration.max_seconds),
        "streak": _count(figures.longest_failure_streak),
    }


def _print_reasons(stdout: Any, totals: Figures) -> None:
    parts = [
        f"{what} {_reasons(reasons)}"
        for what, reasons in (("skipped", totals.skipped), ("missed", totals.missed))
        if reasons
    ]
    ended = {name: totals.outcomes[name] for name in ("stopped", "cancelled", "declined", "lost")}
    if any(ended.values()):
        parts.append(f"ended {_reasons({name: n for name, n in ended.items() if n})}")
    if totals.requested:
        parts.append(f"asked for {_number(totals.requested, 'run')}")
    if totals.recoveries:
        parts.append(
            f"recovered {_number(totals.recoveries, 'time')}, after "
            f"{_duration(totals.recovery_mean_seconds)} on average and "
            f"{_duration(totals.recovery_max_seconds)} at most"
        )
    if parts:
        stdout.writelines(f"{line}\n" for line in ("", *parts))


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in counts.items())


def _group_text(group: str | date | datetime, zone: tzinfo) -> str:
    return group if isinstance(group, str) else _instant_text(group, zone)


def _instant_text(value: date | datetime, zone: tzinfo) -> str:
    if isinstance(value, datetime):
        return local_time(value, zone).strftime("%Y-%m-%d %H:%M %Z")
    return value.isoformat()


def _cut(text: str, limit: int = NAME_CHARACTERS_MAX) -> str:
    """JSON and CSV have whole values; a table that wraps can't be read."""
    text = shown(text)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _count(number: int) -> str:
    return str(number) if number else _NOTHING


def _number(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


def _percent(rate: float | None) -> str:
    if rate is None:
        return _NOTHING
    # 99.97 % must not look like no failure at all.
    return "100%" if rate == 1 else f"{min(rate * 100, 99.9):.1f}%"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return _NOTHING
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 99.95:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours < 48 else f"{hours // 24}d{hours % 24:02}h"
