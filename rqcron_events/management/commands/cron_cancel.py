"""Take back runs that wait for a worker."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from ...errors import UnknownRun
from ...ledger.lookup import known_names
from ...operations.cancel import Cancelled, cancel_queued, cancel_run
from ..command import LedgerCommand, add_actor_options


class Command(LedgerCommand):
    help = "Cancel runs that no worker has started. Their jobs are removed from RQ and stay away."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "run_or_name", metavar="RUN|NAME", help="A run's id; with --queued, the name of a cron."
        )
        parser.add_argument(
            "--queued",
            action="store_true",
            help="Cancel all runs of the cron that are waiting for a worker.",
        )
        add_actor_options(parser, "Why; recorded as the reason of the outcome.")

    def handle(self, *args: Any, **options: Any) -> None:
        asked, words = options["run_or_name"], {"reason": options["reason"], "by": options["by"]}
        if options["queued"]:
            self.stdout.write(_told(asked, cancel_queued(asked, **words)))
            return
        try:
            run_id = cancel_run(asked, **words)
        except UnknownRun as error:
            if asked in known_names():
                raise CommandError(
                    f"{asked!r} is a cron, not a run. To cancel its waiting runs: cron_cancel "
                    f"{asked} --queued"
                ) from error
            raise
        self.stdout.write(f"Run {run_id} cancelled.")


def _told(name: str, done: Cancelled) -> str:
    count = len(done.cancelled)
    if not (count or done.begun or done.unreadable):
        return f"No run of {name} is waiting."
    lines = [f"{_runs(count)} of {name} cancelled. New slots still fire; cron_pause stops them."]
    if done.begun:
        lines.append(f"{_runs(len(done.begun))} not cancelled: already started by a worker.")
    if done.unreadable:
        lines.append(
            f"{_runs(len(done.unreadable))} left alone: an event cannot be read. See cron_quarantine."
        )
    return "\n".join(lines)


def _runs(count: int) -> str:
    return f"{count} run{'s' * (count != 1)}"
