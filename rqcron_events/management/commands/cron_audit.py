"""Is every promised slot accounted for?"""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import CommandParser

from ...cli.tables import add_format, print_rows
from ...cli.terminal import json_text
from ...cli.times import parse_range, zone_of
from ...core.audit.findings import NOT_PROVED, Audit
from ...core.wording import Show, shower_in
from ...queries.audit import audit
from ..command import LedgerCommand

CSV_FIELDS = (
    "cron",
    "expected",
    "fired",
    "skipped",
    "missed",
    "unaccounted",
    "pending",
    "open_runs",
    "findings",
)
COLUMNS = (*CSV_FIELDS[:6], "findings", "pending", "open_runs")
LINES_MAX = 20
"""Of each kind, per cron: JSON has more."""


class Command(LedgerCommand):
    help = (
        "Compare the slots that definitions promised with the recorded decisions. Exit 1 if a slot is "
        "unaccounted for or anything else is wrong."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", nargs="?", help="Default: every cron in the log.")
        parser.add_argument("--since", metavar="TIME", help="Audit only slots from this time on.")
        parser.add_argument("--until", metavar="TIME", help="Audit only slots before this time.")
        add_format(parser, "table", "json", "csv")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["name"]
        since, until = parse_range(options["since"], options["until"], cron=name or "")
        found = audit(name, since=since, until=until)
        if options["format"] == "json":
            self.stdout.write(json_text(found.to_data()))
        else:
            rows = [{"cron": cron.cron, **cron.totals.to_data()} for cron in found.crons]
            if options["format"] == "table" and len(rows) > 1:
                rows.append({"cron": "(all)", **found.totals.to_data()})
            print_rows(
                self.stdout,
                rows,
                COLUMNS,
                options["format"],
                fields=CSV_FIELDS,
                empty="No cron is known yet.",
            )
        if options["format"] == "table":
            for line in _lines(found, shower_in(zone_of(name))):
                self.stdout.write(line)
        if not found.ok:
            sys.exit(1)


def _lines(found: Audit, show: Show) -> list[str]:
    lines: list[str] = []
    for cron in found.crons:
        for slot in cron.unaccounted[:LINES_MAX]:
            lines.append(f"UNACCOUNTED {cron.cron}: {show(slot)}")
        lines += _more(cron.totals.unaccounted, "slots unaccounted for")
        lines += [f"WRONG {cron.cron}: {item.text}" for item in cron.findings[:LINES_MAX]]
        lines += _more(cron.totals.findings, "findings")
        lines += [f"NOTE {cron.cron}: {note}." for note in cron.notes]
        if cron.pending_since is not None:
            lines.append(
                f"PENDING {cron.cron}: {cron.totals.pending} due and not decided, "
                f"since {show(cron.pending_since)}: "
                "the next runner decides them, or they wait for a run to end (overlap='queue'). "
                f"cron_explain {cron.cron} says which."
            )
    lines += [f"WRONG {item.text}" for item in found.findings]
    lines += [f"NOTE {loss.text}." for loss in found.losses]
    total = found.totals
    if found.ok and found.crons:
        lines.append(f"OK: {total.expected} slots were promised; each was decided exactly once.")
    elif not found.ok:
        lines.append(
            f"NOT ACCOUNTED FOR: {total.unaccounted} of {total.expected} slots; "
            f"{total.findings} other finding{'s' * (total.findings != 1)}."
        )
    if found.crons:
        lines.append(f"This does not prove {'; nor '.join(NOT_PROVED)}.")
    return lines


def _more(count: int, what: str) -> list[str]:
    rest = count - LINES_MAX
    return [f"... and {rest} more {what}; --format json has more of them."] if rest > 0 else []
