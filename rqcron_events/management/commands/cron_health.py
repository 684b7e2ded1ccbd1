"""Is the schedule being kept? The exit code is for probes."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError
from django.utils.timezone import get_default_timezone

from ...cli.problems import database_problem
from ...cli.terminal import json_text
from ...core.wording import shower_in
from ...queries.health import MAX_LAG_SECONDS, Health, health
from ...signals import announce_health
from ..command import LedgerCommand


class Command(LedgerCommand):
    help = (
        "Exit 0 if slots are decided, queues are served and no cron exceeds its limits for failed runs; "
        "otherwise exit 1 and print the reasons."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--max-lag",
            type=float,
            default=MAX_LAG_SECONDS,
            metavar="S",
            help=f"Seconds a slot may be overdue; default: {MAX_LAG_SECONDS:.0f}.",
        )
        parser.add_argument("--cron", metavar="NAME", help="Check only what affects this cron.")
        parser.add_argument(
            "--max-failures",
            type=int,
            metavar="N",
            help="Report more than N failed runs in a row; default: each cron's max_failures.",
        )
        parser.add_argument(
            "--max-age",
            metavar="DURATION",
            help="Report a cron that has not succeeded for longer, such as 90m or 25h; default: each "
            "cron's max_age.",
        )
        parser.add_argument("--format", choices=("table", "json"), default="table")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["max_lag"] < 0:
            raise CommandError(f"--max-lag {options['max_lag']} is negative. Give seconds.")
        failures = options["max_failures"]
        if failures is not None and failures < 0:
            raise CommandError(f"--max-failures {failures} is negative. Give 0 or more.")
        try:
            found = health(
                options["max_lag"],
                cron=options["cron"] or "",
                max_failures=failures,
                max_age=_duration(options["max_age"]) if options["max_age"] is not None else None,
            )
            announce_health(type(self), found, waits=True)
        except DatabaseError as error:
            if options["format"] != "json":
                raise
            found = Health(problems=[database_problem(error)])
            found.slots_known = False
        if options["format"] == "json":
            self.stdout.write(json_text(found.to_data()))
        else:
            self.stdout.write("healthy" if found.ok else "NOT HEALTHY")
            for problem in found.problems:
                self.stdout.write(f"  {problem}")
            for warning in found.warnings:
                self.stdout.write(f"  warning: {warning}")
            for label, text in _lines(found):
                self.stdout.write(f"  {label:<22}{text}")
        if not found.ok:
            sys.exit(1)


def _duration(text: str) -> timedelta:
    """Of one number and its unit."""
    match = re.fullmatch(r"([0-9]{1,9})(s|m|min|h|d)", text.strip())
    if match is None or int(match[1]) == 0:
        raise CommandError(f"--max-age {text!r} is not a duration. Give 90s, 30m, 25h or 8d.")
    unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[match[2][0]]
    return timedelta(**{unit: int(match[1])})


def _lines(found: Health) -> Iterator[tuple[str, str]]:
    leader = found.leader or "nobody"
    if found.leader_seconds is not None:
        leader += f", last heartbeat {found.leader_seconds:.1f} s ago"
    yield "leader", leader
    undecided = "none is due" if found.slots_known else "unknown"
    if found.oldest_undecided_at is not None:
        at = shower_in(get_default_timezone())(found.oldest_undecided_at)
        undecided = f"{at} of {found.oldest_undecided_cron}, due for {found.lag_seconds:.1f} s"
    yield "oldest undecided slot", undecided
    clocks = found.clocks
    skews = [f"this machine {clocks.database_skew_seconds:+.3f} s"]
    if clocks.redis_skew_seconds is not None:
        skews.append(f"Redis {clocks.redis_skew_seconds:+.3f} s")
    yield "clock, to database", ", ".join(skews)
    spooled = found.spool_length
    runs = f"events of {spooled} run{'' if spooled == 1 else 's'} waiting in Redis"
    yield "spool", "unknown" if spooled is None else runs
    for name, events in found.projection_lag_events.items():
        yield f"{name} behind", f"{events} event{'' if events == 1 else 's'}"
    if found.log is not None:
        yield "log", found.log.words
