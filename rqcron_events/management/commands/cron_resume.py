"""Resume one cron or all."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from ...operations import controls
from ..command import LedgerCommand, add_actor_options, add_name_or_all, require_name_or_all


class Command(LedgerCommand):
    help = "End the pause of a cron, or the pause of all crons."

    def add_arguments(self, parser: CommandParser) -> None:
        add_name_or_all(parser, "End the pause set by cron_pause --all.")
        add_actor_options(parser, "Why.")

    def handle(self, *args: Any, **options: Any) -> None:
        require_name_or_all(options)
        words = {"reason": options["reason"], "by": options["by"]}
        if options["all"]:
            done = controls.resume_all(**words)
        else:
            done = controls.resume(options["name"], **words)
        what = options["name"] or "All crons"
        self.stdout.write(f"{what} resumed." if done else f"{what}: not paused, nothing to do.")
