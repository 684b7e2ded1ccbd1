"""``cron_replay``: rebuild the projections, compare them with the log, or show the past."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser

from rqcron_events.cli.tables import Column, add_format, print_rows
from rqcron_events.cli.times import parse_past_instant
from rqcron_events.errors import CronError
from rqcron_events.ledger.quarantine import problem_texts
from rqcron_events.management.command import LedgerCommand
from rqcron_events.process.actor import actor_name

from ...past.crons import state_at
from ...projector import PROJECTIONS
from ...replay.rebuild import Difference, check, rebuild
from ..freshness import catch_up_or_say
from .cron_list import COLUMNS as CRON_COLUMNS
from .cron_list import list_values

REBUILT_COLUMNS = ("projection", "version", "events", "rows", "seconds")
DIFFERENCE_COLUMNS = ("projection", "table", "key", "problem", "columns")
KEY_CHARS_MAX = 40
COLUMNS_CHARS_MAX = 70
"""Bounds of a line in a pipe; JSON has everything."""
VALUE_CHARS_MAX = 20
MORE = "; +{} more"


class Command(LedgerCommand):
    """Everything that it writes comes out of the log; it never enqueues anything."""

    help = "Rebuild the projections from the log, compare them (--check) or show the past (--at)."

    def add_arguments(self, parser: CommandParser) -> None:
        which = parser.add_mutually_exclusive_group()
        which.add_argument(
            "--check",
            action="store_true",
            help="compare without changing anything; exit 1 if they differ",
        )
        which.add_argument("--at", metavar="TIME", help="show the crons as they were at this time")
        parser.add_argument(
            "--projection",
            action="append",
            choices=[projection.name for projection in PROJECTIONS],
            help="only this one; may be repeated",
        )
        parser.add_argument("--by", help="who does it, for the log; default: the OS user")
        add_format(parser, "table", "json")

    def handle(self, **options: Any) -> None:
        try:
            self._answer(options)
        except CronError as error:
            raise CommandError(str(error)) from error

    def _answer(self, options: dict[str, Any]) -> None:
        if options["at"] is not None:
            if options["projection"]:
                raise CommandError("--at shows the crons: leave out --projection.")
            instant = parse_past_instant(options["at"], "--at")
            rows = [list_values(row, options["format"]) for row in state_at(instant)]
            self._print(rows, CRON_COLUMNS, options, "No cron was registered by then.")
            return
        catch_up_or_say(self.stderr)
        if options["check"]:
            self._check(options)
            return
        done = rebuild(options["projection"], actor=actor_name(options["by"]))
        self._print([asdict(item) for item in done], REBUILT_COLUMNS, options)

    def _check(self, options: dict[str, Any]) -> None:
        found = check(options["projection"])
        rows = [_brief(item) if options["format"] == "table" else asdict(item) for item in found]
        self._print(rows, DIFFERENCE_COLUMNS, options, "The projections match the log.")
        unread = problem_texts()
        if unread and not found:
            raise CommandError(" ".join(unread))
        if found:
            raise CommandError(
                f"{len(found)} rows differ from a replay of the log. Rebuild them: cron_replay"
            )

    def _print(
        self,
        rows: list[dict[str, Any]],
        columns: Sequence[str | Column],
        options: dict[str, Any],
        empty: str = "",
    ) -> None:
        print_rows(self.stdout, rows, columns, options["format"], empty=empty)


def _brief(item: Difference) -> dict[str, Any]:
    """A row of the table: each differing column with its values, or by its name, or counted."""
    shown = ""
    left = len(item.columns)
    for name, values in item.columns.items():
        for text in (_column_text(name, *values), name):
            longer = f"{shown}; {text}" if shown else text
            if len(longer) + len(MORE) <= COLUMNS_CHARS_MAX:
                shown, left = longer, left - 1
                break
    if left:
        shown += MORE.format(left)
    return {**asdict(item), "key": _cut(item.key, KEY_CHARS_MAX), "columns": shown or "-"}


def _column_text(name: str, live: Any, replayed: Any) -> str:
    if name.endswith("_buckets"):
        return f"{name} differs"  # packed numbers, thousands of characters that nobody can read
    return f"{name} {_value_text(live)}, should be {_value_text(replayed)}"


def _value_text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return _cut(" ".join(str(value).split()), VALUE_CHARS_MAX) or "empty"


def _cut(text: str, chars_max: int) -> str:
    return text if len(text) <= chars_max else text[: chars_max - 1] + "\u2026"
