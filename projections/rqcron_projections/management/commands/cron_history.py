"""``cron_history``: the runs of one cron."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError, CommandParser

from rqcron_events.cli.tables import Column, add_format, print_rows
from rqcron_events.cli.times import parse_past_instant
from rqcron_events.core.events import EventType
from rqcron_events.core.events.keys import RESULT
from rqcron_events.core.run_state import RunStatus
from rqcron_events.core.schedule import zone_or_utc
from rqcron_events.errors import UnknownCron
from rqcron_events.ledger import store
from rqcron_events.ledger.lookup import stored_name, unknown_cron_text
from rqcron_events.management.command import LedgerCommand
from rqcron_events.models import CronEvent

from ...models import CronJob, CronRun
from ...past.runs import runs_at
from ...report.names import present_names
from ...report.words import messages_of
from ...retention.kept import removed_words, runs_kept_from
from ...rows import column_names, row_values
from ..freshness import catch_up_or_say

COLUMNS = (
    "run_id",
    "status",
    "slot",
    "duration_seconds",
    Column(key="outcome", head="result or reason", cells_min=20),
    "trigger",
    "attempts",
    "lateness_seconds",
    "queue_wait_seconds",
    "started_at",
)
"""Of the table, what matters most first and ``outcome`` made of four; JSON and CSV have all fields of
the row, and JSON the stored result."""
STATUSES = [status.value for status in RunStatus]
OUTCOME_CHARS_MAX = 60
RUNS_PER_QUERY = 500


class Command(LedgerCommand):
    """One row per run, the newest first."""

    help = "Show the latest runs of a cron, newest first."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="name of the cron")
        parser.add_argument(
            "--limit", type=int, default=20, help="show the newest N runs; default: 20"
        )
        parser.add_argument(
            "--status",
            choices=STATUSES,
            metavar="STATUS",
            help=f"show only runs with this status: {', '.join(STATUSES)}",
        )
        parser.add_argument("--at", metavar="TIME", help="show the runs as they were at this time")
        add_format(parser, "table", "json", "csv")

    def handle(self, **options: Any) -> None:
        if options["limit"] < 1:
            raise CommandError(f"--limit {options['limit']} is invalid: give 1 or more.")
        name, given = options["name"], options["at"]
        at = parse_past_instant(given, "--at", cron=name) if given is not None else None
        catch_up_or_say(self.stderr)
        alias, name = store.connection().alias, stored_name(name)
        timezones = dict(CronJob.objects.using(alias).values_list("name", "timezone"))
        if name not in timezones:
            raise UnknownCron(unknown_cron_text(name))
        limit, status = options["limit"], options["status"] or ""
        runs: Iterable[CronRun]
        if at is not None:
            runs = runs_at(name, at, limit=limit, status=status)
        else:
            known = CronRun.objects.using(alias).filter(cron=name)
            known = known.filter(status=status) if status else known
            runs = known.order_by("-requested_at", "run_id")[:limit]
        runs, called = list(runs), present_names().get(name, name)
        kept_from = runs_kept_from() if len(runs) < limit else None
        if kept_from is not None:
            self.stderr.write(removed_words(kept_from))
        results = _results(runs)
        messages = messages_of(run.error_event for run in runs)
        table = options["format"] == "table"
        print_rows(
            self.stdout,
            [
                row_values(run)
                | {"cron": called, "error_message": messages.get(run.error_event or 0, "")}
                | {"result": results.get(run.run_id)}
                | ({"outcome": _outcome(run, messages, results.get(run.run_id))} if table else {})
                for run in runs
            ],
            COLUMNS,
            options["format"],
            fields=[*column_names(CronRun), "error_message"],
            zone=zone_or_utc(timezones[name]),
            empty=f"No matching runs of cron {name!r} by then."
            if at
            else f"No matching runs of cron {name!r}. See cron_explain {name} for the reason.",
        )


def _results(runs: Sequence[CronRun]) -> dict[UUID | None, str]:
    """What the runs returned, of crons that store it. It is in the log, not in the projection."""
    ids = [run.run_id for run in runs if run.status == RunStatus.SUCCEEDED]
    found = {}
    for start in range(0, len(ids), RUNS_PER_QUERY):
        events = CronEvent.objects.using(store.connection().alias).of_type(EventType.RUN_SUCCEEDED)
        page = events.filter(run_id__in=ids[start : start + RUNS_PER_QUERY])
        for event in page.events():
            if RESULT in event.data:
                found[event.run_id] = str(event.data[RESULT])
    return found


def _outcome(run: CronRun, messages: Mapping[int, str], result: str | None) -> str:
    """Result, or reason and error, in one line; ``cron_explain --run`` has them whole."""
    message = messages.get(run.error_event or 0, "")
    known = (result, run.outcome_reason, run.error_type, message)
    text = " ".join(": ".join(part for part in known if part).split())
    if len(text) > OUTCOME_CHARS_MAX:
        text = text[: OUTCOME_CHARS_MAX - 1] + "…"
    return text
