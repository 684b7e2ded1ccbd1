"""Is the schedule being kept? The exit code is for probes."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser

from ...health import MAX_LAG_SECONDS, health
from ..command import LedgerCommand


class Command(LedgerCommand):
    help = "Exit 0 when a runner leads and no slot is overdue, otherwise 1 with the reasons."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--max-lag",
            type=float,
            default=MAX_LAG_SECONDS,
            metavar="S",
            help=f"Seconds that a slot may be overdue; default: {MAX_LAG_SECONDS:.0f}.",
        )
        parser.add_argument("--format", choices=("table", "json"), default="table")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["max_lag"] < 0:
            raise CommandError(f"--max-lag {options['max_lag']} is negative. Give seconds.")
        found = health(options["max_lag"])
        if options["format"] == "json":
            self.stdout.write(json.dumps(found.to_data(), indent=2))
        else:
            self.stdout.write("healthy" if found.ok else "NOT HEALTHY")
            for problem in found.problems:
                self.stdout.write(f"  {problem}")
            for key, value in found.to_data().items():
                if key not in ("ok", "problems"):
                    self.stdout.write(f"  {key.replace('_', ' '):<24}{value}")
        if not found.ok:
            sys.exit(1)
