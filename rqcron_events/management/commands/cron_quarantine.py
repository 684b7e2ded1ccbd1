"""Events that cannot be read: list them, try them again, or accept that they count as nothing."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from ...cli.tables import add_format, print_rows
from ...ledger.quarantine import quarantined
from ...operations import quarantine
from ..command import LedgerCommand, add_actor_options

COLUMNS = ("event", "stream", "reader", "noticed_at", "error")


class Command(LedgerCommand):
    help = "List events that cannot be read; readers of the log leave them out."

    def add_arguments(self, parser: CommandParser) -> None:
        which = parser.add_mutually_exclusive_group()
        which.add_argument(
            "--retry",
            action="store_true",
            help="Try to read them again, for example after an upgrade.",
        )
        which.add_argument(
            "--accept",
            type=int,
            metavar="EVENT_ID",
            help="Ignore this event from now on, in every reader and every replay; final.",
        )
        add_actor_options(parser, "Why it is accepted; required with --accept.")
        add_format(parser, "table", "json", "csv")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["accept"] is not None:
            if not options["reason"]:
                raise CommandError("--accept is final. Say why: --reason TEXT")
            quarantine.accept(options["accept"], reason=options["reason"], by=options["by"])
            self.stdout.write(f"Event {options['accept']} is ignored from now on.")
            return
        if options["retry"]:
            self._retry()
            return
        rows = [
            {
                "event": row.event_id,
                "stream": row.stream,
                "reader": row.reader,
                "noticed_at": row.noticed_at,
                "error": row.error,
            }
            for row in quarantined()
        ]
        print_rows(self.stdout, rows, COLUMNS, options["format"], empty="Every event can be read.")

    def _retry(self) -> None:
        done = quarantine.retry()
        self.stdout.write(f"{done.readable} of {done.readable + done.unreadable} can be read now.")
        if done.runner:
            self.stdout.write("The leading runner rereads the log with them within seconds.")
        if done.built_again:
            self.stdout.write(f"Rebuilt with them: {', '.join(done.built_again)}.")
