"""``cron_list``: the state of each cron."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from rqcron_events import clock, ledger
from rqcron_events.management.command import LedgerCommand
from rqcron_events.output import add_format, print_rows
from rqcron_projections.cron_status import as_of
from rqcron_projections.freshness import catch_up_or_say
from rqcron_projections.models import CronJob
from rqcron_projections.tables import row_values

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
        add_format(parser, "table", "json", "csv")

    def handle(self, **options: Any) -> None:
        catch_up_or_say(self.stderr)
        now = clock.now()
        rows = CronJob.objects.using(ledger.connection().alias).order_by("name")
        print_rows(
            self.stdout,
            [row_values(as_of(row, now)) for row in rows],
            COLUMNS,
            options["format"],
            empty="No cron is registered yet. A runner registers them: cron_run or cron_worker.",
        )
