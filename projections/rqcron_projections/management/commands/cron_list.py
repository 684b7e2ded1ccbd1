"""``cron_list``: the state of each cron."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser

from rqcron_events import clock
from rqcron_events.cli.tables import add_format, print_rows
from rqcron_events.cli.times import parse_past_instant
from rqcron_events.core.events import LEDGER_STREAM
from rqcron_events.core.interventions.pauses import GlobalPauses
from rqcron_events.core.wording import because, shower, unknown_cron_text
from rqcron_events.errors import UnknownCron
from rqcron_events.ledger import store
from rqcron_events.management.command import LedgerCommand

from ...folds.cron_status import as_of
from ...models import CronJob
from ...replay.rebuild import state_at
from ...rows import column_names, row_values
from ..freshness import catch_up_or_say

COLUMNS = (
    "name",
    "status",
    "schedule",
    "timezone",
    "next_slot",
    "last_decision",
    "last_run_status",
    "last_run_finished_at",
    "consecutive_failures",
)


class Command(LedgerCommand):
    """One row per cron that the ledger knows, retired ones included."""

    help = "Show the state of each cron: status, next slot, last decision, last run."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("names", nargs="*", metavar="NAME", help="only these; default: all")
        parser.add_argument("--at", metavar="TIME", help="the crons as they were at this instant")
        add_format(parser, "table", "json", "csv")

    def handle(self, **options: Any) -> None:
        names, at = options["names"], options["at"]
        instant = (
            parse_past_instant(at, "--at", cron=names[0] if len(names) == 1 else "")
            if at is not None
            else None
        )
        catch_up_or_say(self.stderr)
        rows = self._rows_now(names)
        if instant is not None:
            rows = state_at(instant, names or None)
        print_rows(
            self.stdout,
            [row_values(row) for row in rows],
            COLUMNS,
            options["format"],
            fields=column_names(CronJob),
            empty="No cron was registered by then."
            if at
            else "No cron is registered yet. A runner registers them: cron_run or cron_worker.",
        )
        self._say_if_all_are_paused(instant or clock.now())

    def _say_if_all_are_paused(self, at: datetime) -> None:
        """No row of a cron tells it: the pause is not the cron's own."""
        everything = GlobalPauses()
        for event in store.read_stream(LEDGER_STREAM):
            if event.occurred_at <= at:
                everything.apply(event)
        pause = everything.at(at)
        if pause is not None:
            show = shower(None)
            self.stderr.write(
                f"All crons are paused by {pause.actor or 'somebody'} since {show(pause.since)}"
                f"{' until ' + show(pause.until) if pause.until else ''}{because(pause.reason)}: "
                "slots are skipped, whatever the status of their cron."
            )

    def _rows_now(self, names: list[str]) -> list[CronJob]:
        known = CronJob.objects.using(store.connection().alias).order_by("name")
        rows = list(known.filter(name__in=names) if names else known)
        for name in names:
            if name not in {row.name for row in rows}:
                raise UnknownCron(unknown_cron_text(name, known.values_list("name", flat=True)))
        now = clock.now()
        return [as_of(row, now) for row in rows]
