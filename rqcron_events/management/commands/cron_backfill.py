"""Run a cron for its past slots."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError, CommandParser

from ...cli.problems import require_queues
from ...cli.tables import add_format, print_rows
from ...cli.terminal import encodable
from ...cli.times import parse_instant, require_range
from ...core.backfill import DONE, BackfillSlot, SlotState
from ...core.schedule import local_time, zone_or_utc
from ...operations.backfill import (
    BackfillPlan,
    BackfillRun,
    check_parallel,
    plan_backfill,
    run_plan,
)
from ..command import LedgerCommand, add_actor_options

COLUMNS = ("slot", "state", "run_id", "definition_version", "before_registration")
CSV_FIELDS = (*COLUMNS, "outcome")
INTERRUPTED = 130
WORDS = {
    SlotState.TO_RUN: "to run",
    SlotState.OPEN: "already in progress",
    SlotState.DONE: "left out, a run for them succeeded",
    SlotState.ACTIVE: "left out, another run for them has not ended",
    SlotState.UNDECIDED: "left to the runner, which has not decided them yet",
}


class Command(LedgerCommand):
    """Stopped at any point it loses nothing: the same command goes on."""

    help = (
        "Run a cron for its past slots, oldest first, and wait for the runs. Slots whose run "
        "succeeded are left out. After Ctrl-C, the same command continues; it also retries what failed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument(
            "--from", required=True, metavar="TIME", help="Include slots from this time on."
        )
        parser.add_argument(
            "--to", default="now", metavar="TIME", help="End before this time; default: now."
        )
        parser.add_argument("--dry-run", action="store_true", help="Show the slots; run nothing.")
        parser.add_argument(
            "--max-parallel",
            type=int,
            default=1,
            metavar="N",
            help="Run up to N slots at once; default: 1.",
        )
        parser.add_argument(
            "--again", default="", metavar="LABEL", help="Run every slot again, once per label."
        )
        parser.add_argument(
            "--quiet-max", type=float, metavar="S", help="Give up after S seconds without progress."
        )
        add_actor_options(parser, "Why.")
        add_format(parser, "table", "json", "csv")

    def handle(self, *args: Any, **options: Any) -> None:
        name, output_format = options["name"], options["format"]
        start = parse_instant(options["from"], "--from", cron=name)
        end = parse_instant(options["to"], "--to", cron=name, after=start)
        require_range(start, end, "--from", "--to", cron=name)
        plan = plan_backfill(name, start, end, again=options["again"])
        if options["dry_run"]:
            self._show(plan, output_format)
            return
        require_queues()
        check_parallel(plan, options["max_parallel"])
        self._say(_summary(plan), output_format)
        ended: list[BackfillRun] = []
        try:
            with self._reporting(plan, output_format) as show:

                def report(run: BackfillRun) -> None:
                    ended.append(run)
                    show(run)

                run_plan(
                    plan,
                    max_parallel=options["max_parallel"],
                    reason=options["reason"],
                    by=options["by"],
                    quiet_seconds_max=options["quiet_max"],
                    report=report,
                    say=self.stderr.write,
                )
        except KeyboardInterrupt:
            self.stderr.write(
                f"Stopped: {len(ended)} of {_wanted(plan)} runs have ended. Queued runs still execute; run the "
                "same command again to continue."
            )
            sys.exit(INTERRUPTED)
        self._conclude(plan, ended, output_format)

    def _show(self, plan: BackfillPlan, output_format: str) -> None:
        rows = [_row(item) for item in plan.slots]
        if output_format == "table":
            rows = [row | {"state": row["state"].replace("_", " ")} for row in rows]
        print_rows(
            self.stdout,
            rows,
            COLUMNS,
            output_format,
            fields=CSV_FIELDS,
            zone=zone_or_utc(plan.definition.timezone),
        )
        self._say(_summary(plan), output_format)

    def _say(self, text: str, output_format: str) -> None:
        if output_format == "table":
            self.stdout.write(text)

    @contextmanager
    def _reporting(
        self, plan: BackfillPlan, output_format: str
    ) -> Iterator[Callable[[BackfillRun], None]]:
        """A progress bar on a terminal, a line for each run in a pipe."""
        if output_format != "table":
            yield lambda run: None
        elif not self.stdout.isatty():
            yield lambda run: self._print_line(_line(plan, run))
        else:
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

            columns = (
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                "{task.description}",
            )
            with Progress(*columns) as bar:
                task = bar.add_task("", total=_wanted(plan))

                def advance(run: BackfillRun) -> None:
                    line = encodable(_line(plan, run), bar.console.encoding)
                    bar.update(task, advance=1, description=line)
                    if run.outcome not in DONE:
                        bar.console.print(line, highlight=False, markup=False)

                yield advance

    def _print_line(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()  # whoever reads the pipe wants to see it move

    def _conclude(self, plan: BackfillPlan, ended: list[BackfillRun], output_format: str) -> None:
        if output_format != "table":
            planned = {item.slot: _row(item) for item in plan.slots}
            rows = [
                planned[run.slot] | {"outcome": _word(run), "run_id": run.run_id} for run in ended
            ]
            print_rows(self.stdout, rows, COLUMNS, output_format, fields=CSV_FIELDS)
        elif ended:
            counts = Counter(_word(run) for run in ended)
            self.stdout.write(", ".join(f"{count} {word}" for word, count in counts.items()) + ".")
        bad = [run for run in ended if run.outcome not in DONE]
        if bad:
            raise CommandError(
                f"{len(bad)} of {len(ended)} runs did not succeed; the first: cron_explain --run "
                f"{bad[0].run_id}. Run the same command again to retry them."
            )


def _row(item: BackfillSlot) -> dict[str, Any]:
    return {
        "slot": item.slot,
        "state": item.state.value,
        "run_id": item.run_id,
        "definition_version": item.past.definition_version,
        "before_registration": item.past.before_registration,
    }


def _wanted(plan: BackfillPlan) -> int:
    return len(plan.of_state(SlotState.TO_RUN)) + len(plan.of_state(SlotState.OPEN))


def _summary(plan: BackfillPlan) -> str:
    if not plan.slots:
        return f"{plan.definition.present_name} has no slot in that time."
    counts = Counter(item.state for item in plan.slots)
    parts = [f"{counts[state]} {words}" for state, words in WORDS.items() if counts[state]]
    early = sum(item.past.before_registration for item in plan.slots)
    note = f" ({early} before it was registered, by its schedule of today)" if early else ""
    return f"{plan.definition.present_name}: {len(plan.slots)} slots{note}: {'; '.join(parts)}."


def _line(plan: BackfillPlan, run: BackfillRun) -> str:
    slot = local_time(run.slot, zone_or_utc(plan.definition.timezone))
    return f"{slot:%Y-%m-%d %H:%M:%S %Z}  {_word(run):<10} run {run.run_id}"


def _word(run: BackfillRun) -> str:
    return run.outcome.value.removeprefix("run_")
