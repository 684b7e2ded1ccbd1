"""Why a cron did or did not fire."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from ...cli.render import tell
from ...cli.terminal import json_text
from ...cli.times import parse_instant
from ...core.explain.explanation import Verdict
from ...ledger.lookup import stored_name
from ...ledger.quarantine import problem_texts, quarantined
from ...queries.explain import explain, explain_run
from ...seals.keys import required_signer
from ...seals.proof import proof_of
from ..command import LedgerCommand


class Command(LedgerCommand):
    help = "Explain why a cron did or did not fire at a given time, with the recorded evidence."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", nargs="?")
        parser.add_argument("--at", metavar="TIME", help="Default: the cron's last slot.")
        parser.add_argument("--run", metavar="ID", help="Tell the story of one run instead.")
        parser.add_argument(
            "--proof",
            metavar="FILE",
            help="Also write the events of the answer, with what proves that they were sealed.",
        )
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
        if options["proof"] is not None:
            self._prove(options["proof"], [event.id for event in answer.events if event.id])
        for text in problem_texts(quarantined(cron=stored_name(answer.cron))):
            self.stderr.write(text)

    def _prove(self, path: str, event_ids: list[int]) -> None:
        proof = proof_of(event_ids, required_signer().verifier)
        try:
            Path(path).write_text(json.dumps(proof, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise CommandError(f"--proof {path} cannot be written: {error.strerror}.") from None
        self.stderr.write(f"{len(proof['events'])} events and their proofs are in {path}.")
        if proof["unsealed"]:
            left = ", ".join(map(str, proof["unsealed"]))
            self.stderr.write(
                f"Not sealed yet, so not proved: {left}. Run cron_seal, and this again."
            )
