"""Resume one cron or all."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from ...operations import controls
from ..command import LedgerCommand, add_actor_options


class Command(LedgerCommand):
    help = "End the pause of a cron, or of all."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", nargs="?")
        parser.add_argument("--all", action="store_true", help="End cron_pause --all.")
        add_actor_options(parser, "Why.")

    def handle(self, *args: Any, **options: Any) -> None:
        if bool(options["name"]) == options["all"]:
            raise CommandError("Give the name of a cron, or --all.")
        words = {"reason": options["reason"], "by": options["by"]}
        if options["all"]:
            done = controls.resume_all(**words)
        else:
            done = controls.resume(options["name"], **words)
        what = options["name"] or "All crons"
        self.stdout.write(f"{what} resumed." if done else f"{what}: not paused, nothing to do.")
