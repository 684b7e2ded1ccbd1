"""An RQ worker that carries a runner."""

from __future__ import annotations

import logging
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError, CommandParser
from redis.exceptions import RedisError
from rq.logutils import setup_loghandlers

from ...checks import check_registry
from ...cli.problems import require_queues
from ...conf import rq_queues
from ...core.wording import clause
from ...execution.cron_worker import embedded_runner
from ...leadership.calls import BURST
from ...process.parent_watch import log_to_stderr
from ...runner.once import once
from ..command import LedgerCommand


class Command(LedgerCommand):
    help = "Run django-rq's worker with a cron runner inside."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "queues",
            nargs="*",
            help="Queues, served in the order given. Default: those that the crons need, in the order of "
            "RQ_QUEUES; RQ's scheduler then runs too.",
        )
        parser.add_argument(
            "--burst",
            action="store_true",
            help="Decide what is due now, empty the queues, then exit.",
        )
        parser.add_argument(
            "--with-scheduler", action="store_true", help="Also run RQ's scheduler."
        )
        parser.add_argument("--name", help="Name of the worker.")
        parser.add_argument("--worker-class", help="Default: RQ['WORKER_CLASS'], or RQ's Worker.")
        parser.add_argument("--job-class")
        parser.add_argument("--queue-class")
        parser.add_argument("--serializer", help="Must be the serializer of the queues.")
        parser.add_argument(
            "--worker-ttl", type=int, default=420, help="RQ's worker TTL in seconds; default: 420."
        )
        parser.add_argument("--max-jobs", type=int)
        parser.add_argument("--max-idle-time", type=int, help="Exit after this many idle seconds.")

    def handle(self, *args: Any, **options: Any) -> None:
        require_queues()
        queues = options["queues"] or embedded_runner.queues_of_crons()
        for queue in queues:
            if queue not in rq_queues():
                known = ", ".join(sorted(rq_queues()))
                raise CommandError(f"Queue {queue!r} is not in RQ_QUEUES. Use one of: {known}.")
        verbosity = options["verbosity"]
        level = {0: "WARNING", 1: "INFO"}.get(verbosity, "DEBUG")
        setup_loghandlers(level)
        log_to_stderr(getattr(logging, level))
        for problem in check_registry():
            self.stderr.write(f"{problem.id}: {problem.msg}")
        names = ("name", "worker_class", "job_class", "queue_class", "serializer", "worker_ttl")
        passed = {key: options[key] for key in names if options[key] is not None}
        passed |= {key: options[key] for key in ("with_scheduler", "max_jobs", "max_idle_time")}
        passed["logging_level"] = level
        passed["with_scheduler"] = options["with_scheduler"] or not options["queues"]
        if options["burst"]:
            once(BURST)
        try:
            embedded_runner.work(queues, burst=options["burst"], options=passed)
        except RedisError as error:
            raise CommandError(
                f"Redis does not answer: {clause(error)}. Check RQ_QUEUES."
            ) from error
        except (ValueError, ImportError, AttributeError, ImproperlyConfigured) as error:
            raise CommandError(
                f"The worker cannot start: {clause(error)}. Check --name, the classes, --serializer and "
                "the queues' settings in RQ_QUEUES."
            ) from error
