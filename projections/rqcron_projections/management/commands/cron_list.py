"""``cron_list``: the state of each cron."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from django.core.management.base import CommandParser

from rqcron_events import clock
from rqcron_events.cli.tables import Column, add_format, print_rows
from rqcron_events.cli.times import parse_past_instant, zone_of
from rqcron_events.core.definition import Definition
from rqcron_events.core.explain.obstacles import Obstacle, ObstacleKind, concerning_each
from rqcron_events.core.interventions.pauses import Pause
from rqcron_events.core.wording import Show, pause_words, schedule_words, shower_in
from rqcron_events.errors import UnknownCron
from rqcron_events.ledger import store
from rqcron_events.ledger.cron_states import global_pauses
from rqcron_events.ledger.lookup import stored_name, unknown_cron_text
from rqcron_events.management.command import LedgerCommand
from rqcron_events.queries.obstacles import obstacles

from ...folds.cron_status import DISABLED, PAUSED, RETIRED, as_of, next_slot
from ...models import CronJob
from ...past.crons import state_at
from ...report.names import present_name, renamed_from
from ...rows import column_names, row_values
from ..freshness import catch_up_or_say

COLUMNS = (
    "name",
    "status",
    "next_slot",
    Column(key="schedule", head="schedule", cells_min=24),
    "last_run_status",
    "last_run_finished_at",
    "consecutive_failures",
    "last_decision",
    "timezone",
)
"""Of the table, what matters most first."""
CSV_FIELDS = [name for name in column_names(CronJob) if name not in ("definition", "kept")]
"""These two are nested, so only JSON has them."""
PAUSES_TOLD_MAX = 20
TOLD_BEFORE = frozenset({ObstacleKind.ALL_PAUSED, ObstacleKind.PAUSED})
"""Below the table each has a line of its own already."""

ATTENTION = "attention"
RENAMED_FROM = "renamed_from"
LINES_MAX = 20
"""About single crons, below the table."""


class Command(LedgerCommand):
    """One row per cron that the ledger knows, retired ones included."""

    help = "Show the state of each cron: status, next slot, last decision, last run."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "names", nargs="*", metavar="NAME", help="show only these; default: all"
        )
        parser.add_argument("--at", metavar="TIME", help="show the crons as they were at this time")
        add_format(parser, "table", "json", "csv")

    def handle(self, **options: Any) -> None:
        names, at = [stored_name(name) for name in options["names"]], options["at"]
        only = names[0] if len(names) == 1 else ""
        instant = parse_past_instant(at, "--at", cron=only) if at is not None else None
        catch_up_or_say(self.stderr)
        rows = self._rows_now(names)
        if instant is not None:
            rows = state_at(instant, names or None)
        paused = [row for row in rows if row.paused_at is not None]
        pause = global_pauses(instant).in_force(instant or clock.now())
        found = obstacles() if instant is None and rows else []
        queues = {row.name: row.queue for row in rows if row.status != RETIRED}
        by_cron = concerning_each(found, queues)
        print_rows(
            self.stdout,
            [_values(row, options["format"], pause, by_cron) for row in rows],
            COLUMNS,
            options["format"],
            fields=[*CSV_FIELDS, RENAMED_FROM, ATTENTION],
            zone=zone_of(only),
            empty="No cron was registered by then."
            if at
            else "No cron is registered yet. A runner registers them: cron_run or cron_worker.",
        )
        if options["format"] == "table":
            show = shower_in(zone_of(only))
            self.stdout.writelines(_pauses(paused, by_cron, show))
            self.stdout.writelines(_renames(rows))
            self._say_what_hinders(pause, found, by_cron, show)

    def _say_what_hinders(
        self,
        pause: Pause | None,
        found: list[Obstacle],
        by_cron: Mapping[str, list[Obstacle]],
        show: Show,
    ) -> None:
        if pause is not None:
            self.stderr.write(f"All crons are {pause_words(pause, show)}: slots are skipped.")
        here = {id(obstacle) for those in by_cron.values() for obstacle in those}
        shown = [
            obstacle
            for obstacle in found
            if obstacle.kind not in TOLD_BEFORE and id(obstacle) in here
        ]
        for obstacle in shown[:LINES_MAX]:
            self.stderr.write(obstacle.sentence)
        if len(shown) > LINES_MAX:
            self.stderr.write(f"... and {len(shown) - LINES_MAX} more: --format json.")

    def _rows_now(self, names: list[str]) -> list[CronJob]:
        known = CronJob.objects.using(store.connection().alias).order_by("name")
        rows = list(known.filter(name__in=names) if names else known)
        for name in names:
            if name not in {row.name for row in rows}:
                raise UnknownCron(unknown_cron_text(name))
        now = clock.now()
        return [as_of(row, now) for row in rows]


def _values(
    row: CronJob, output_format: str, pause: Pause | None, found: Mapping[str, list[Obstacle]]
) -> dict[str, Any]:
    """The row, and what keeps its cron from running now: one text, empty where nothing does."""
    if row.status == RETIRED:
        return {**list_values(row, output_format), ATTENTION: ""}
    if pause is not None and row.paused_at is None and row.status != DISABLED:
        row.status, row.paused_at, row.paused_until = PAUSED, pause.since, pause.until
        row.paused_by, row.pause_reason = pause.actor, pause.reason
        row.next_slot = next_slot(row)
    told = [obstacle.text for obstacle in found.get(row.name, ())]
    return {**list_values(row, output_format), ATTENTION: "; ".join(told)}


def list_values(row: CronJob, output_format: str) -> dict[str, Any]:
    """The row; for people, with what ``H`` in the schedule stands for."""
    values = row_values(row) | {"name": present_name(row), RENAMED_FROM: renamed_from(row)}
    if output_format == "table":
        with suppress(ValueError, TypeError, KeyError):  # of a newer release
            values["schedule"] = schedule_words(Definition.from_data(row.definition))
    return values


def _pauses(
    paused: Sequence[CronJob], found: Mapping[str, list[Obstacle]], show: Show
) -> Iterator[str]:
    """Who paused a cron, until when and why, and whose pause that replaced: a line for each."""
    for row in paused[:PAUSES_TOLD_MAX]:
        pause = next(
            (o.pause for o in found.get(row.name, ()) if o.kind is ObstacleKind.PAUSED), None
        )
        if pause is None and row.paused_at is not None:  # the list is of another instant
            by, until = row.paused_by, row.paused_until
            pause = Pause(since=row.paused_at, until=until, reason=row.pause_reason, actor=by)
        if pause is not None:
            yield f"{present_name(row)}: {pause_words(pause, show)}.\n"
    more = len(paused) - PAUSES_TOLD_MAX
    if more > 0:
        yield f"... and {more} more are paused; --format json tells of each.\n"


def _renames(rows: Sequence[CronJob]) -> Iterator[str]:
    """What crons were called before: a line for each, as long as there are few."""
    renamed = [row for row in rows if renamed_from(row) and row.status != RETIRED]
    for row in renamed[:LINES_MAX]:
        yield f"{present_name(row)}: formerly {renamed_from(row)}.\n"
