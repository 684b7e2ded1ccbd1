"""``cron_replay``: rebuild the projections, compare them with the log, or show the past."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser

from rqcron_events.errors import CronError
from rqcron_events.instants import parse_instant
from rqcron_events.management.command import LedgerCommand
from rqcron_events.output import add_format, print_rows
from rqcron_projections.freshness import catch_up_or_say
from rqcron_projections.management.commands.cron_list import COLUMNS as CRON_COLUMNS
from rqcron_projections.projector import PROJECTIONS
from rqcron_projections.rebuild import check, rebuild, state_at
from rqcron_projections.tables import row_values

REBUILT_COLUMNS = ("projection", "version", "events", "rows", "seconds")
DIFFERENCE_COLUMNS = ("projection", "table", "key", "problem", "columns")


class Command(LedgerCommand):
    """Everything that it writes comes out of the log; it never enqueues anything."""

    help = "Rebuild the projections from the log, compare them (--check) or show the past (--at)."

    def add_arguments(self, parser: CommandParser) -> None:
        which = parser.add_mutually_exclusive_group()
        which.add_argument(
            "--check", action="store_true", help="compare and change nothing; exit 1 if they differ"
        )
        which.add_argument(
            "--at", metavar="TIME", help="show the crons as they were at this instant"
        )
        parser.add_argument(
            "--projection",
            action="append",
            choices=[projection.name for projection in PROJECTIONS],
            help="only this one; may be repeated",
        )
        parser.add_argument("--by", help="who asks, for the log; default: the OS user")
        add_format(parser, "table", "json")

    def handle(self, **options: Any) -> None:
        try:
            self._answer(options)
        except CronError as error:
            raise CommandError(str(error)) from error

    def _answer(self, options: dict[str, Any]) -> None:
        if options["at"]:
            if options["projection"]:
                raise CommandError("--at shows the crons: leave out --projection.")
            instant = parse_instant(options["at"], "--at")
            rows = [row_values(row) for row in state_at(instant)]
            self._print(rows, CRON_COLUMNS, options, "No cron was registered by then.")
            return
        catch_up_or_say(self.stderr)
        if options["check"]:
            self._check(options)
            return
        done = rebuild(options["projection"], actor=options["by"] or getpass.getuser())
        self._print([asdict(item) for item in done], REBUILT_COLUMNS, options)

    def _check(self, options: dict[str, Any]) -> None:
        found = [asdict(item) for item in check(options["projection"])]
        self._print(found, DIFFERENCE_COLUMNS, options, "The projections are what the log says.")
        if found:
            raise CommandError(
                f"{len(found)} rows differ from a replay of the log. Rebuild them: cron_replay"
            )

    def _print(
        self,
        rows: list[dict[str, Any]],
        columns: Sequence[str],
        options: dict[str, Any],
        empty: str = "",
    ) -> None:
        print_rows(self.stdout, rows, columns, options["format"], empty=empty)
