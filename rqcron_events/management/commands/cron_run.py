"""The runner."""

from __future__ import annotations

import logging
import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser

from ...checks import check_registry
from ...cli.problems import require_queues
from ...process.parent_watch import die_with_parent, log_to_stderr
from ...runner.loop import Loop
from ...runner.once import once
from ...runner.runner import Runner
from ..command import LedgerCommand


class Command(LedgerCommand):
    help = "Decide which crons are due, record the decisions and enqueue the runs, until stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--once", action="store_true", help="Decide what is due now, then exit."
        )
        parser.add_argument(
            "--die-with-parent", type=int, metavar="PID", help="Exit when the process PID ends."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        require_queues()
        log_to_stderr(logging.DEBUG if options["verbosity"] > 1 else logging.INFO)
        for problem in check_registry():
            self.stderr.write(f"{problem.id}: {problem.msg}")
        if options["once"]:
            done = once()
            plural = "s" * (done.decided != 1)
            self.stdout.write(f"{done.decided} run{plural} decided.")
            texts = list(done.refused)
            if done.unsure:
                self.stdout.write(
                    f"{done.unsure} run{'s' * (done.unsure != 1)} decided before may be in Redis; the "
                    "next call looks again."
                )
            if done.waiting:
                texts.append(f"{done.waiting} not in Redis yet, because it does not answer.")
            if texts:
                raise CommandError(f"{' '.join(texts)} The next runner enqueues them.")
            return
        if options["die_with_parent"]:
            die_with_parent(options["die_with_parent"])
        Loop(Runner()).run()
        sys.stdout.flush()
