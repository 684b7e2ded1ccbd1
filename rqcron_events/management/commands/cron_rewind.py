"""Take back what a clock that was ahead decided about the future."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from ...cli.times import zone_of
from ...core.wording import shower_in
from ...operations import rewind
from ..command import LedgerCommand, add_actor_options, add_name_or_all, require_name_or_all


class Command(LedgerCommand):
    help = (
        "Decide a cron's slots again from now on, after a clock that was ahead had decided them. "
        "What fired then is not fired again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add_name_or_all(parser, "Every cron that is decided up to the future.")
        add_actor_options(parser, "Why.")

    def handle(self, *args: Any, **options: Any) -> None:
        require_name_or_all(options)
        words = {"reason": options["reason"], "by": options["by"]}
        if options["all"]:
            done = rewind.rewind_all(**words)
        else:
            done = {options["name"]: rewind.rewind(options["name"], **words)}
        for name, watermark in done.items():
            at = shower_in(zone_of(options["name"]))(watermark)
            self.stdout.write(f"{name} had been decided up to {at}; slots count from now on.")
