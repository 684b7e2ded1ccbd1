"""Compare open runs with RQ now, and close what a crash left open."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from ...cli.problems import require_queues
from ...cli.tables import print_rows
from ...core.explain.obstacles import ObstacleKind
from ...core.wording import clause
from ...execution.enqueuer import Enqueuer
from ...ledger.cron_states import States
from ...process.actor import actor_name
from ...queries.obstacles import REDIS_SECONDS_MAX, obstacles
from ...runner.reconciler import Reconciler
from ..command import LedgerCommand

COLUMNS = ("cron", "run_id", "slot", "found", "repair")


class Command(LedgerCommand):
    help = (
        "Compare open runs with RQ now and close what a crash left open. The leading runner does this "
        "by itself."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--dry-run", action="store_true", help="Show what would be repaired; change nothing."
        )
        parser.add_argument("--format", choices=("table", "json", "csv"), default="table")
        parser.add_argument(
            "--by", default=None, help="Recorded as who did it; default: cron_reconcile."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        require_queues()
        by = actor_name(options["by"]) if options["by"] else "cron_reconcile"
        states = States.load()
        enqueuer = Enqueuer(REDIS_SECONDS_MAX)
        reconciler = Reconciler(enqueuer, by)
        if not options["dry_run"]:
            reconciler.clean_up(states)
            states.follow()
        reconciler.begin(states, dry_run=options["dry_run"], away=reconciler.away)
        while not reconciler.done:
            reconciler.step(states, dry_run=options["dry_run"])
        rows = [
            {
                "cron": finding.definition.name,
                "run_id": str(finding.run.run_id),
                "slot": finding.run.slot,
                "found": finding.found,
                "repair": finding.repair.value,
            }
            for finding in reconciler.findings
        ]
        # One that does not answer is told below, with its remedy.
        hindered = [
            found
            for found in obstacles()
            if found.is_fault and not (reconciler.away and found.kind is ObstacleKind.REDIS_AWAY)
        ]
        print_rows(self.stdout, rows, COLUMNS, options["format"], empty="No open run needs repair.")
        for obstacle in hindered:
            self.stderr.write(obstacle.sentence)
        if reconciler.away:
            told = "; ".join(f"{redis}: {clause(why)}" for redis, why in reconciler.away.items())
            raise CommandError(f"Redis does not answer ({told}). Check RQ_QUEUES.")
        if enqueuer.refused:
            raise CommandError(" ".join(enqueuer.refused))
