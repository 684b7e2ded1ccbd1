"""Write old events into files, and take their rows out of the database."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from ...archive.archiving import Archived, archive
from ...cli.terminal import json_text
from ...cli.times import parse_past_instant
from ...process.actor import actor_name
from ...seals.keys import required_signer
from ..command import LedgerCommand


class Command(LedgerCommand):
    help = (
        "Write sealed events that were recorded before a time into files in the storage of RQCRON_ARCHIVE, read "
        "them back, and only then delete their rows."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--before",
            metavar="TIME",
            required=True,
            help="As in '2026-03-02', '2026-03-02 09:00' or '90 days ago'.",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="Say what would be archived; change nothing."
        )
        parser.add_argument("--by", help="Who does it, for the log; default: the OS user.")
        parser.add_argument("--format", choices=("table", "json"), default="table")

    def handle(self, *args: Any, **options: Any) -> None:
        required_signer()
        before = parse_past_instant(options["before"], "--before")
        done = archive(before, actor_name(options["by"]), dry_run=options["dry_run"])
        if options["format"] == "json":
            self.stdout.write(json_text(done.to_data()))
            return
        for line in _lines(done):
            self.stdout.write(line)


def _lines(done: Archived) -> list[str]:
    if done.dry_run:
        lines = [f"{done.events:,} events would be archived."]
    else:
        lines = [f"{path} has been written and verified." for path in done.segments]
        lines.append(
            f"{done.events:,} events were archived ({done.bytes:,} bytes); {done.archived_events:,} are in "
            f"all, to event {done.archived_to}."
        )
        lines.append(
            f"{done.removed_rows:,} rows were removed from the log; {done.kept_rows:,} archived ones stay, "
            "because later decisions rest on them."
        )
    return [*lines, *(f"Held back: {why}" for why in done.held_back)]
