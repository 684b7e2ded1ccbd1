"""``cron_history``: the runs of one cron."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.core.management.base import CommandError, CommandParser

from rqcron_events.cli.tables import add_format, print_rows
from rqcron_events.cli.times import parse_past_instant
from rqcron_events.core.run_state import RunStatus
from rqcron_events.core.wording import unknown_cron_text
from rqcron_events.errors import UnknownCron
from rqcron_events.ledger import store
from rqcron_events.management.command import LedgerCommand

from ...models import CronJob, CronRun
from ...past import runs_at
from ...rows import column_names, row_values
from ..freshness import catch_up_or_say

COLUMNS = (
    "run_id",
    "status",
    "trigger",
    "slot",
    "lateness_seconds",
    "started_at",
    "queue_wait_seconds",
    "duration_seconds",
    "attempts",
    "why",
)
"""Of the table, ``why`` made of three; JSON and CSV have all fields of the row."""
WHY_CHARS_MAX = 60


class Command(LedgerCommand):
    """One row per run, the newest first."""

    help = "Show the last runs of a cron, the newest first."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="name of the cron")
        parser.add_argument("--limit", type=int, default=20, help="how many runs; default: 20")
        parser.add_argument(
            "--status",
            choices=[status.value for status in RunStatus],
            help="only runs of this status",
        )
        parser.add_argument("--at", metavar="TIME", help="the runs as they were at this instant")
        add_format(parser, "table", "json", "csv")

    def handle(self, **options: Any) -> None:
        if options["limit"] < 1:
            raise CommandError(f"--limit {options['limit']} is invalid: give 1 or more.")
        name, given = options["name"], options["at"]
        at = parse_past_instant(given, "--at", cron=name) if given is not None else None
        catch_up_or_say(self.stderr)
        alias = store.connection().alias
        timezones = dict(CronJob.objects.using(alias).values_list("name", "timezone"))
        if name not in timezones:
            raise UnknownCron(unknown_cron_text(name, timezones))
        limit, status = options["limit"], options["status"] or ""
        runs: Iterable[CronRun]
        if at is not None:
            runs = runs_at(name, at, limit=limit, status=status)
        else:
            known = CronRun.objects.using(alias).filter(cron=name)
            known = known.filter(status=status) if status else known
            runs = known.order_by("-requested_at", "run_id")[:limit]
        table = options["format"] == "table"
        print_rows(
            self.stdout,
            [row_values(run) | ({"why": _why(run)} if table else {}) for run in runs],
            COLUMNS,
            options["format"],
            fields=column_names(CronRun),
            timezone=timezones[name],
            empty=f"Cron {name!r} had no such runs by then."
            if at
            else f"Cron {name!r} has no such runs. Why: cron_explain {name}",
        )


def _why(run: CronRun) -> str:
    """Reason and error in one line; ``cron_explain --run`` has them whole."""
    known = (run.outcome_reason, run.error_type, run.error_message)
    text = " ".join(": ".join(part for part in known if part).split())
    if len(text) > WHY_CHARS_MAX:
        text = text[: WHY_CHARS_MAX - 1] + "…"
    return text
