"""After an archive, everything that is folded from the log is what it was: no decision changes."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from rqcron_events.archive.archiving import archive
from rqcron_events.core.events import Event, EventType, run_stream
from rqcron_events.ledger import store
from rqcron_events.ledger.cron_states import States, global_pauses, state_of, states_without_runs
from rqcron_events.models import CronEvent, CronSeal, CronSegment, CronSnapshot
from rqcron_events.operations import controls, rewind
from rqcron_events.runner.following.steps import follow_all
from rqcron_events.seals.sealer import seal_next
from rqcron_events.testing import FakeClock, tick
from tests.archive_pass import archive_all, later
from tests.sealing import KEY, seal

SEEDS = (0, 2, 5)
STEPS = 60
NAMES = ("alpha", "beta", "gamma")


def known() -> dict[str, Any]:
    """All that anybody folds from the log."""
    states, pauses = States.load(), global_pauses()
    without, unreadable = states_without_runs()
    assert unreadable == {}
    return {
        "states": {name: state.to_data() for name, state in states.crons.items()},
        "all_paused": (states.all_paused.pauses, pauses.pauses),
        "without runs": {name: _data(state) for name, state in without.items()},
        "of one": {name: _data(state_of(name)) for name in states.crons},
    }


def _data(state: Any) -> dict[str, Any]:
    return {**state.to_data(), "open_runs": None}


class Life:
    """A log as runners, workers and people write it."""

    def __init__(self, seed: int, add: Callable[..., None], clock: FakeClock, crons: Any) -> None:
        self.random = random.Random(seed)
        self.add, self.clock, self.crons = add, clock, crons
        for name in NAMES:
            self._deploy(name)
        tick()

    def step(self) -> None:
        ways = [self._pass, self._pass, self._pass, self._pass, self._end_runs, self._end_runs,
                self._pause, self._change, self._everything, self._rewind, self._request,
                self._seal, self._archive]  # fmt: skip
        self.random.choice(ways)()

    def _deploy(self, name: str) -> None:
        minutes = self.random.choice([1, 2, 5])
        overlap = self.random.choice(["allow", "skip"])
        self.add(name, every=timedelta(minutes=minutes), overlap=overlap,
                 catch_up=self.random.choice(["latest", "all", "none"]))  # fmt: skip

    def _pass(self) -> None:
        self.clock.advance(timedelta(seconds=self.random.randint(20, 400)))
        tick()

    def _open(self) -> list[tuple[str, UUID, datetime | None]]:
        return [
            (name, run.run_id, run.slot)
            for name, state in States.load().crons.items()
            for run in state.open_runs.values()
        ]

    def _end_runs(self) -> None:
        for name, run_id, slot in self._open():
            if self.random.random() < 0.2:
                continue
            ends = self.random.choice([EventType.RUN_SUCCEEDED, EventType.RUN_FAILED])
            kinds = [EventType.RUN_ENQUEUED, EventType.RUN_STARTED, ends]
            if self.random.random() < 0.2:
                kinds.pop()
            store.append_next([self._of_run(kind, name, run_id, slot) for kind in kinds])

    def _of_run(self, kind: EventType, name: str, run_id: UUID, slot: datetime | None) -> Event:
        return Event(stream=run_stream(run_id), version=0, type=kind, cron=name, run_id=run_id,
                     scheduled_for=slot, occurred_at=self.clock.now, actor="worker/w", data={})  # fmt: skip

    def _pause(self) -> None:
        name = self.random.choice(NAMES)
        if self.random.random() < 0.5:
            until = self.random.choice([None, self.clock.now + timedelta(minutes=7)])
            controls.pause(name, until=until, by="ann")
        else:
            controls.resume(name, by="ann")

    def _everything(self) -> None:
        if self.random.random() < 0.5:
            controls.pause_all(until=self.clock.now + timedelta(minutes=3), by="ann")
        else:
            controls.resume_all(by="ann")

    def _change(self) -> None:
        name = self.random.choice(NAMES)
        if self.random.random() < 0.4:
            self.crons.crons.pop(name, None)
        else:
            self._deploy(name)
        tick()

    def _rewind(self) -> None:
        self.clock.advance(timedelta(minutes=30))
        tick()
        self.clock.advance(-timedelta(minutes=20))
        rewind.rewind_all(by="ann")
        tick()

    def _request(self) -> None:
        name = self.random.choice(list(self.crons.crons) or NAMES)
        if name in self.crons.crons:
            controls.trigger(name, by="ann")

    def _seal(self) -> None:
        seal_next(KEY, self.random.randint(1, 60))

    def _archive(self) -> None:
        if not CronSeal.objects.exists():
            return
        follow_all()
        before = known()
        archive(later(), "ann")
        assert known() == before


@pytest.mark.parametrize("seed", SEEDS)
def test_folds_are_equal_before_and_after(seed: int, add: Any, clock: FakeClock, crons: Any):
    life = Life(seed, add, clock, crons)
    for _ in range(STEPS):
        life.step()
    life._seal()
    life._archive()
    assert CronSegment.objects.exists()


def test_a_monthly_cron_does_not_fire_again(
    add: Any, clock: FakeClock, deploy: Callable[[], Any], redis_connection: Any
):
    """See the public report of a purge after which such crons did: docs/field-reports.md."""
    add("monthly", schedule="0 9 1 * *", catch_up="all")
    deploy()
    runner = None
    for month in (4, 5, 6):
        clock.set(datetime(2026, month, 1, 9, 0, 1, tzinfo=UTC))
        runner = deploy()
        fired = CronEvent.objects.of_type("slot_fired").last()
        store.append_next([
            Event(stream=run_stream(fired.run_id), version=0, type=kind, cron="monthly",
                  run_id=fired.run_id, scheduled_for=fired.scheduled_for, occurred_at=clock.now)
            for kind in (EventType.RUN_STARTED, EventType.RUN_SUCCEEDED)
        ])  # fmt: skip
        seal()
        runner.tick()
        runner.save_snapshot()
    done = archive_all()
    assert done.archived_events >= 12
    assert CronEvent.objects.filter(cron="monthly").count() == 5, "the registration and June"
    CronSnapshot.objects.all().delete()
    redis_connection.flushdb()  # their jobs are of the true time, which this clock has not reached
    for day in (2, 15, 30):
        clock.set(datetime(2026, 6, day, tzinfo=UTC))
        deploy()
    own = CronEvent.objects.filter(stream="cron/monthly").order_by("version")
    assert [(event.type, event.version) for event in own] == [
        ("cron_registered", 1), ("slot_fired", 4),
    ]  # fmt: skip
    clock.set(datetime(2026, 7, 1, 9, 0, 1, tzinfo=UTC))
    deploy()
    last = own.last()
    assert (last.type, last.version, last.scheduled_for.month) == ("slot_fired", 5, 7)
