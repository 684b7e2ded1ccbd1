"""Pause one cron or all."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from ...cli.times import parse_instant, zone_of
from ...core.wording import because, shower_in
from ...operations import controls
from ..command import LedgerCommand, add_actor_options, add_name_or_all, require_name_or_all


class Command(LedgerCommand):
    help = "Skip the slots of a cron, or of all, from now on; runs already queued still execute."

    def add_arguments(self, parser: CommandParser) -> None:
        add_name_or_all(parser, "Pause every cron, including new ones.")
        parser.add_argument(
            "--until", metavar="TIME", help="Resume automatically at this time: 2h, 'tomorrow 8am'."
        )
        add_actor_options(parser, "Why; shown wherever the skipped slots are explained.")

    def handle(self, *args: Any, **options: Any) -> None:
        require_name_or_all(options)
        until = (
            parse_instant(options["until"], "--until", cron=options["name"] or "", future=True)
            if options["until"] is not None
            else None
        )
        words = {"reason": options["reason"], "by": options["by"], "until": until}
        if options["all"]:
            before = controls.pause_all(**words)
        else:
            before = controls.pause(options["name"], **words)
        show = shower_in(zone_of(options["name"]))
        end = f" until {show(until)}" if until else ""
        self.stdout.write(f"{options['name'] or 'All crons'} paused{end}.")
        if before is not None:
            self.stdout.write(
                f"This replaces a pause by {before.actor or 'somebody'} since {show(before.since)}"
                f"{f' until {show(before.until)}' if before.until else ''}{because(before.reason)}."
            )
