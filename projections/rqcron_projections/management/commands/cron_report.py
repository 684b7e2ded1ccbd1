"""``cron_report``: how crons did over a range of time."""

from __future__ import annotations

import re
from datetime import date, datetime, tzinfo
from typing import Any, get_args

from django.core.management.base import CommandError, CommandParser

from rqcron_events.cli.tables import add_format, print_rows
from rqcron_events.cli.terminal import json_text
from rqcron_events.cli.times import parse_instant, zone_of
from rqcron_events.core.wording import unknown_cron_text
from rqcron_events.errors import UnknownCron
from rqcron_events.ledger import store
from rqcron_events.ledger.lookup import stored_name
from rqcron_events.management.command import LedgerCommand

from ...models import CronJob
from ...report.flat import fields, flat_rows
from ...report.render import print_report
from ...report.report import By, Report, report
from ...retention.kept import archived_words
from ..freshness import catch_up_or_say

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


class Command(LedgerCommand):
    """Whole days come from ``CronDay``, anything finer from single runs; the output says which."""

    help = "Summarize how crons did: slots, outcomes, lateness, durations, errors."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--since",
            metavar="TIME",
            help="a date (each cron's own days) or an instant; default: seven days before today",
        )
        parser.add_argument("--until", metavar="TIME", help="not included; default: now")
        parser.add_argument("--by", choices=get_args(By), default="cron", help="default: cron")
        parser.add_argument("--cron", metavar="NAME", help="only this cron")
        add_format(parser, "table", "json", "csv")

    def handle(self, **options: Any) -> None:
        name = stored_name(options["cron"]) if options["cron"] is not None else None
        since = _parsed(options["since"], "--since", cron=name or "")
        begin = since if isinstance(since, datetime) else None
        until = _parsed(options["until"], "--until", cron=name or "", after=begin)
        catch_up_or_say(self.stderr)
        jobs = CronJob.objects.using(store.connection().alias)
        if name is not None and not jobs.filter(name=name).exists():
            raise UnknownCron(unknown_cron_text(name, jobs.values_list("name", flat=True)))
        try:
            found = report(since, until, by=options["by"], cron=name)
        except ValueError as error:
            raise CommandError(str(error)) from error
        self._print(found, options["format"], zone_of(name))

    def _print(self, found: Report, output_format: str, zone: tzinfo) -> None:
        data = found.to_data()
        if output_format == "json":
            self.stdout.write(json_text(data))
        elif output_format == "csv":
            print_rows(self.stdout, flat_rows(found), fields(found), "csv")
        elif found.rows:
            print_report(self.stdout, found, zone)
        else:
            self.stdout.write(
                f"Nothing was decided or asked for from {data['since']} to {data['until']}. "
                "cron_list shows the crons and when they were last due.\n"
            )
            if found.decisions_archived_until is not None:
                self.stdout.write(archived_words(found.decisions_archived_until))


def _parsed(
    text: str | None, option: str, *, cron: str, after: datetime | None = None
) -> date | datetime | None:
    if text is None:
        return None
    if _DATE.fullmatch(text):
        try:
            return date.fromisoformat(text)
        except ValueError:
            raise CommandError(
                f"{option} {text!r} is not a date. Give one that exists, such as 2026-03-01."
            ) from None
    return parse_instant(text, option, cron=cron, after=after)
