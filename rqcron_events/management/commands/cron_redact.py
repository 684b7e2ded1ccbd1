"""Remove texts that name somebody; every fact stays."""

from __future__ import annotations

import re
from typing import Any

from django.core.management.base import CommandError, CommandParser

from ...cli.times import parse_range
from ...core.words.apart import FIELDS
from ...errors import UnknownCron
from ...ledger.lookup import find_run, stored_name, unknown_cron_text
from ...models import CronEvent
from ...operations.redact import Wanted, redact
from ..command import LedgerCommand, add_actor_options


class Command(LedgerCommand):
    help = (
        "Remove error messages, tracebacks, results and long reasons from the ledger, for ever. Which runs "
        "failed, when and how often stays. Give --run, --cron or --match, or several of them."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--run", metavar="ID", help="Texts of this run.")
        parser.add_argument("--cron", metavar="NAME", help="Texts of all runs of this cron.")
        parser.add_argument(
            "--match",
            metavar="REGEX",
            help="Texts in which this regular expression is found. The log does not keep it.",
        )
        parser.add_argument(
            "--ignore-case", action="store_true", help="Upper and lower case are one for --match."
        )
        parser.add_argument(
            "--field",
            action="append",
            choices=FIELDS,
            help="Only texts of this kind; may be repeated. Default: all.",
        )
        parser.add_argument("--since", metavar="TIME", help="Only of events at or after this time.")
        parser.add_argument("--until", metavar="TIME", help="Only of events before this time.")
        parser.add_argument("--dry-run", action="store_true", help="Only count them.")
        add_actor_options(parser, "Why; required unless --dry-run.")

    def handle(self, *args: Any, **options: Any) -> None:
        cron, run = options["cron"], options["run"]
        if cron and not CronEvent.objects.for_cron(stored_name(cron)).exists():
            raise UnknownCron(unknown_cron_text(cron))
        since, until = parse_range(options["since"], options["until"], cron=cron or "")
        wanted = Wanted(
            run_id=find_run(run) if run else None,
            cron=stored_name(cron) if cron else "",
            pattern=_pattern(options["match"], options["ignore_case"]),
            fields=options["field"] or FIELDS,
            since=since,
            until=until,
        )
        dry_run = options["dry_run"]
        removed = redact(wanted, reason=options["reason"], by=options["by"], dry_run=dry_run)
        what = f"{removed:,} text{'s' * (removed != 1)}"
        if dry_run:
            self.stdout.write(f"{what} would be removed.")
        elif removed:
            self.stdout.write(
                f"{what} removed. What was sent or copied elsewhere is not: results and errors in Redis until "
                "RQ lets them go, logs, traces, backups. See docs/words.md."
            )
        else:
            self.stdout.write("No text matches; nothing is removed.")


def _pattern(text: str | None, ignore_case: bool) -> re.Pattern[str] | None:
    if text is None:
        return None
    if not text:
        raise CommandError(
            "--match is empty: it would match every text. Give --match '.' to mean that."
        )
    try:
        return re.compile(text, re.IGNORECASE if ignore_case else 0)
    except re.error as error:
        raise CommandError(f"--match {text!r} is no regular expression: {error}.") from error
