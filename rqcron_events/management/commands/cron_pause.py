"""Pause one cron or all."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from ...cli.times import parse_instant
from ...operations import controls
from ..command import LedgerCommand, add_actor_options


class Command(LedgerCommand):
    help = "Stop a cron, or all, from firing; its slots are recorded as skipped meanwhile."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", nargs="?")
        parser.add_argument("--all", action="store_true", help="Every cron, new ones included.")
        parser.add_argument(
            "--until", metavar="TIME", help="When it ends by itself: 2h, tomorrow 8am."
        )
        add_actor_options(parser, "Why; it stands in every answer about the skipped slots.")

    def handle(self, *args: Any, **options: Any) -> None:
        if bool(options["name"]) == options["all"]:
            raise CommandError("Give the name of a cron, or --all.")
        until = (
            parse_instant(options["until"], "--until", cron=options["name"] or "", future=True)
            if options["until"] is not None
            else None
        )
        words = {"reason": options["reason"], "by": options["by"], "until": until}
        if options["all"]:
            controls.pause_all(**words)
        else:
            controls.pause(options["name"], **words)
        end = f" until {until.isoformat()}" if until else ""
        self.stdout.write(f"{options['name'] or 'All crons'} paused{end}.")
