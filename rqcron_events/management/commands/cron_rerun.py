"""Run an earlier run again, as a new run."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from ...cli.problems import require_queues
from ...operations import controls
from ..command import LedgerCommand, add_actor_options, requested_text


class Command(LedgerCommand):
    help = "Start a new run like an earlier one, for the same slot."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run", help="The run's id, or its first characters (see cron_history).")
        add_actor_options(parser, "Why.")

    def handle(self, *args: Any, **options: Any) -> None:
        require_queues()
        run_id = controls.rerun(options["run"], reason=options["reason"], by=options["by"])
        self.stdout.write(str(run_id))
        self.stderr.write(requested_text(run_id))
