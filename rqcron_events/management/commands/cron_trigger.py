"""Run a cron now, beside its schedule."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from ...cli.problems import require_queues
from ...operations import controls
from ..command import LedgerCommand, add_actor_options


class Command(LedgerCommand):
    help = "Ask for a run of a cron now. Its schedule is not touched."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        add_actor_options(parser, "Why.")

    def handle(self, *args: Any, **options: Any) -> None:
        require_queues()
        run_id = controls.trigger(options["name"], reason=options["reason"], by=options["by"])
        self.stdout.write(str(run_id))
