"""``manage.py cron_standalone``: everything on one machine, for development."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ...cli.terminal import encodable
from ...errors import CronError
from ...standalone.supervisor import Standalone


class Command(BaseCommand):
    help = (
        "Run Redis (unless one answers already), a worker with the runner, and the web server on "
        "this machine, for development. Ctrl-C ends everything."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--web",
            type=int,
            nargs="?",
            const=8000,
            metavar="PORT",
            help="also serve the project's pages (default port: 8000)",
        )
        parser.add_argument(
            "--queues",
            nargs="+",
            default=[],
            metavar="QUEUE",
            help="default: all in RQ_QUEUES that share the default one's Redis",
        )
        parser.add_argument(
            "--workers", type=int, default=1, metavar="N", help="how many workers (default: 1)"
        )
        parser.add_argument("--seconds", type=float, metavar="N", help="end after N seconds")

    def execute(self, *args: Any, **options: Any) -> str | None:
        """What is missing is said in one line before Django's checks say it of each cron."""
        try:
            Standalone(queues=options["queues"]).address_and_queues()
        except CronError as error:
            raise CommandError(str(error)) from error
        return super().execute(*args, **options)

    def handle(self, *_args: Any, **options: Any) -> None:
        standalone = Standalone(
            queues=options["queues"],
            web_port=options["web"],
            workers=max(1, options["workers"]),
            say=self.say,
        )
        try:
            code = standalone.run(options["seconds"])
        except CronError as error:
            raise CommandError(str(error)) from error
        if code:
            sys.exit(code)

    def say(self, line: str) -> None:
        encoding = getattr(self.stdout, "encoding", None) or "utf-8"
        self.stdout.write(encodable(line, encoding))
        self.stdout.flush()
