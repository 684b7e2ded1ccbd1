"""Put archived segments into an empty log."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from ...archive.restoring import restore
from ...archive.sources import Source, files, stored
from ...cli.terminal import json_text
from ...core.seal.note import Verifier
from ...process.actor import actor_name
from ...seals.keys import require_packages, verifiers
from ..command import LedgerCommand


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
        parser.add_argument(
            "--key", metavar="KEY", help="The public key; default: RQCRON_SEAL_KEY's."
        )
        parser.add_argument("--by", help="Who does it, for the log; default: the OS user.")
        parser.add_argument("--format", choices=("table", "json"), default="table")

    def handle(self, *args: Any, **options: Any) -> None:
        keys = verifiers(_key(options["key"]))
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


def _key(text: str | None) -> Verifier | None:
    if text is None:
        return None
    require_packages()
    try:
        return Verifier.of(text)
    except ValueError as error:
        raise CommandError(
            f"--key {text!r} is no public key: {error}. cron_seal --key shows it."
        ) from None
