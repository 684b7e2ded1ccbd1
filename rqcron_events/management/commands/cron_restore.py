"""Put archived segments into an empty log."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from ...archive.restoring import restore
from ...archive.sources import Source, files, stored
from ...cli.terminal import json_text
from ...process.actor import actor_name
from ...seals.keys import verifiers
from ..command import LedgerCommand, add_key_option, public_key


class Command(LedgerCommand):
    help = (
        "Verify archived segments and write their events, with the ids and times that they had, into an empty log; "
        "seals and tiles are made again. One that was interrupted goes on where it was."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "segments",
            nargs="*",
            metavar="SEGMENT",
            help="A file that cron_archive wrote, or a directory of them.",
        )
        parser.add_argument("--storage", metavar="ALIAS", help="Instead: an alias in STORAGES.")
        parser.add_argument("--prefix", default="", help="Of RQCRON_ARCHIVE, in that storage.")
        add_key_option(parser)
        parser.add_argument("--by", help="Who does it, for the log; default: the OS user.")
        parser.add_argument("--format", choices=("table", "json"), default="table")

    def handle(self, *args: Any, **options: Any) -> None:
        keys = verifiers(public_key(options["key"]))
        if not keys:
            raise CommandError("No key is known. Give --key KEY, or set RQCRON_SEAL_KEY.")
        done = restore(_sources(options), keys, actor_name(options["by"]))
        if options["format"] == "json":
            self.stdout.write(json_text(done.to_data()))
            return
        self.stdout.write(
            f"{done.events:,} events of {done.segments:,} segments are in the log, to event {done.last_id}; "
            f"{done.written:,} of them were written now."
        )
        self.stdout.write("Next: cron_verify --all, then cron_replay; only then start runners.")


def _sources(options: dict[str, Any]) -> list[Source]:
    if bool(options["segments"]) == bool(options["storage"]):
        raise CommandError("Give either segments or --storage ALIAS.")
    if options["prefix"] and not options["storage"]:
        raise CommandError("--prefix is for --storage. Leave it out.")
    if options["storage"]:
        return stored(options["storage"], options["prefix"])
    return files(options["segments"])
