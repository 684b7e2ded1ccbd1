"""Why a cron did or did not fire."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser

from ...cli.render import tell
from ...cli.terminal import json_text
from ...cli.times import parse_instant
from ...core.explain.explanation import Verdict
from ...ledger.lookup import stored_name
from ...ledger.quarantine import problem_texts, quarantined
from ...queries.explain import explain, explain_run
from ..command import LedgerCommand


class Command(LedgerCommand):
    help = "Explain why a cron did or did not fire at a given time, with the recorded evidence."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", nargs="?")
        parser.add_argument("--at", metavar="TIME", help="Default: the cron's last slot.")
        parser.add_argument("--run", metavar="ID", help="Tell the story of one run instead.")
        parser.add_argument("--format", choices=("table", "json"), default="table")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["run"] is not None:
            answer = explain_run(options["run"])
            if options["name"] and stored_name(options["name"]) != stored_name(answer.cron):
                raise CommandError(
                    f"Run {options['run']} belongs to {answer.cron!r}, not to {options['name']!r}."
                )
        elif options["name"]:
            name = options["name"]
            given = options["at"]
            at = parse_instant(given, "--at", cron=name) if given is not None else None
            answer = explain(name, at)
        else:
            raise CommandError("Give the name of a cron, or --run ID.")
        if options["format"] == "json":
            self.stdout.write(json_text(answer.to_data()))
            if answer.verdict is Verdict.UNKNOWN_CRON:
                sys.exit(1)
        elif answer.verdict is Verdict.UNKNOWN_CRON:
            raise CommandError(answer.summary)
        else:
            tell(answer, self.stdout)
        for text in problem_texts(quarantined(cron=stored_name(answer.cron))):
            self.stderr.write(text)
