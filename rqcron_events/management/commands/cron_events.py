"""The log itself."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from ...cli.render import Filter, follow, show_events
from ...cli.times import parse_range
from ...conf import conf
from ...core.events import EventType
from ...errors import UnknownCron
from ...ledger.lookup import find_run, stored_name, unknown_cron_text
from ...models import CronEvent
from ..command import LedgerCommand


class Command(LedgerCommand):
    help = "Show the events of the log, newest last."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--cron", help="Show only events of this cron.")
        parser.add_argument(
            "--type", action="append", default=[], help="Show only this type; repeatable."
        )
        parser.add_argument("--run", metavar="ID", help="Show only events of this run.")
        parser.add_argument("--since", metavar="TIME")
        parser.add_argument("--until", metavar="TIME")
        parser.add_argument(
            "--limit", type=int, default=100, help="Show the newest N (default: 100); 0 for all."
        )
        parser.add_argument("--follow", action="store_true", help="Keep printing new events.")
        parser.add_argument("--format", choices=("table", "json", "csv"), default="table")

    def handle(self, *args: Any, **options: Any) -> None:
        known = [item.value for item in EventType]
        for name in options["type"]:
            if name not in known:
                raise CommandError(f"Event type {name!r} is unknown. Known: {', '.join(known)}.")
        if options["limit"] < 0:
            raise CommandError(f"--limit {options['limit']} is negative. Give 0 for all.")
        cron = options["cron"] or ""
        since, until = parse_range(options["since"], options["until"], cron=cron)
        cron = stored_name(cron)
        wanted = Filter(
            cron=cron,
            types=frozenset(options["type"]),
            run_id=find_run(options["run"]) if options["run"] is not None else None,
            since=since,
            until=until,
        )
        if cron and not CronEvent.objects.using(conf().database).for_cron(cron).exists():
            if not options["follow"]:
                raise UnknownCron(unknown_cron_text(cron))
            self.stderr.write(unknown_cron_text(cron))  # somebody may wait for its first event
        if options["follow"]:
            follow(wanted, options["limit"], options["format"], self.stdout)
        else:
            show_events(wanted, options["limit"], options["format"], self.stdout)
