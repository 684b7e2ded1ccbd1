"""Each kind of failover, behind each kind of pooler, with Redis kept and emptied.

Two PostgreSQL databases, a real PgBouncer, Redis and RQ's own worker; the runners are in this process, so
that each cell takes a second.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import DatabaseError, InterfaceError, connections
from django_rq import get_worker
from redis import Redis
from rq import SimpleWorker
from rqcron_projections.models import CronRun
from rqcron_projections.replay.rebuild import check

from rqcron_events.core.definition import run_id_for_slot
from rqcron_events.leadership.lease import LEADER
from rqcron_events.ledger.cron_states import States
from rqcron_events.models import CronEvent, CronLease
from rqcron_events.queries.audit import audit
from rqcron_events.runner.following.steps import follow_all
from rqcron_events.runner.runner import Runner
from rqcron_events.testing import FakeClock
from tests.failover import Databases, paused
from tests.integration.conftest import (  # noqa: F401
    add,
    crons,
    deploy,
    rq_believed_at_once,
    served,
)
from tests.pgbouncer import pooler

MINUTE = timedelta(minutes=1)
POOLERS = ("none", "session", "transaction")
REDIS = ("kept", "emptied")
pytestmark = pytest.mark.usefixtures("rq_believed_at_once")


@pytest.fixture
def postgresql() -> None:
    """Not collected on SQLite, which has no failover."""


@pytest.fixture
def clock() -> Iterator[FakeClock]:
    """Near the true time, by which RQ's workers note what they do."""
    with FakeClock(datetime.now(UTC).replace(second=30, microsecond=0)) as fake:
        yield fake


@contextmanager
def connected_through(mode: str) -> Iterator[str]:
    """The test's own connection leads through a pooler of this mode; its URL, or empty."""
    if mode == "none":
        yield ""
        return
    direct = connections["default"]
    with pooler(mode) as url:
        settings: Any = copy.deepcopy(direct.settings_dict)
        parts = urlsplit(url)
        settings |= {"HOST": parts.hostname, "PORT": parts.port}
        settings["DISABLE_SERVER_SIDE_CURSORS"] = mode == "transaction"
        connections["default"] = type(direct)(settings, "default")
        try:
            yield url
        finally:
            connections["default"].close()
            connections["default"] = direct


class World:
    """What happens, minute by minute, to a cron that must not overlap."""

    def __init__(
        self, databases: Databases, clock: FakeClock, redis: Redis, mode: str, url: str
    ) -> None:
        self.executed: list[str] = []
        self.databases = databases
        self.clock = clock
        self.redis = redis
        self._hidden_by = url if mode == "transaction" else ""

    def report(self) -> None:
        from rqcron_events import current_run

        run = current_run()
        assert run is not None
        self.executed.append(str(run.run_id))

    def minute(self, *runners: Runner, works: bool = True) -> None:
        """The next slot is decided, and RQ's worker does what is in the queue."""
        self.clock.advance(MINUTE)
        for runner in runners:
            self.tick(runner)
            if works:
                self.work()

    def tick(self, runner: Runner) -> None:
        """As the runner's loop does it: a connection that ended is no reason to end."""
        try:
            runner.tick()
        except (DatabaseError, InterfaceError):
            assert not self._hidden_by, "the pooler hides it"
            runner.fall_back()
            runner.tick()

    def work(self) -> None:
        if self.redis.llen("rq:queue:default"):  # a worker takes a while to come and go
            get_worker("default", worker_class=SimpleWorker).work(burst=True)

    def slot(self) -> str:
        """Id of the run of the slot of now."""
        return str(run_id_for_slot("report", self.clock.now.replace(second=0)))

    def copied(self) -> None:
        with self._nobody_notices():
            self.databases.take_copy()

    def swapped(self) -> None:
        with self._nobody_notices():
            self.databases.go_back()

    @contextmanager
    def _nobody_notices(self) -> Iterator[None]:
        with ExitStack() as stack:
            if self._hidden_by:
                stack.enter_context(paused(self._hidden_by))
            yield

    @contextmanager
    def on(self, database: str) -> Iterator[None]:
        """On the other side of a split."""
        here = connections["default"].settings_dict
        before = here["NAME"]
        connections["default"].close()
        here["NAME"] = database
        try:
            yield
        finally:
            connections["default"].close()
            here["NAME"] = before

    def goes_on(self, runner: Runner) -> None:
        """Later slots fire and run, once each; all is accounted for, and the rows are the log's."""
        for _ in range(2):
            self.minute(runner)
        self.clock.advance(timedelta(seconds=6))
        self.tick(runner)
        runner.reconcile_all()
        assert self.executed.count(self.slot()) == 1
        runner.states.follow()
        fresh = States()
        fresh.follow()
        for states in (runner.states, fresh):
            assert not states.crons["report"].open_runs
        found = audit()
        assert found.ok, [cron.to_data() for cron in found.crons]
        follow_all()
        assert check() == []

    @property
    def twice(self) -> set[str]:
        return {run for run, times in Counter(self.executed).items() if times > 1}


@pytest.fixture(params=POOLERS)
def world(
    request: pytest.FixtureRequest,
    postgresql: None,
    transactional_db: None,
    add: Callable[..., None],  # noqa: F811
    clock: FakeClock,
    redis_connection: Redis,
) -> Iterator[World]:
    with Databases() as databases, connected_through(request.param) as url:
        found = World(databases, clock, redis_connection, request.param, url)
        add("report", found.report, schedule="* * * * *", overlap="skip", timeout=30)
        yield found


@pytest.fixture(params=REDIS)
def redis_after(request: pytest.FixtureRequest, redis_connection: Redis) -> Callable[[], bool]:
    """What becomes of Redis; whether it was kept."""

    def happens() -> bool:
        if request.param == "emptied":
            redis_connection.flushdb()
        return bool(request.param == "kept")

    return happens


def losses() -> int:
    return CronEvent.objects.of_type("log_went_back").count()


def decided() -> Counter[str]:
    rows = CronEvent.objects.decisions()
    return Counter(row.reason or row.type for row in rows)


def test_clean(world: World, deploy: Any, redis_after: Any) -> None:  # noqa: F811
    """All that was committed is there."""
    runner = deploy()
    world.minute(runner)
    world.minute(runner, works=False)
    waiting = world.slot()
    world.copied()
    world.swapped()
    redis_after()
    world.clock.advance(timedelta(seconds=15))
    world.tick(runner)
    runner.reconcile_all()
    world.work()
    assert world.executed.count(waiting) == 1
    world.goes_on(runner)
    assert not world.twice and not losses()
    assert decided() == {"slot_fired": 4}


def test_lost_commits(world: World, deploy: Any, redis_after: Any) -> None:  # noqa: F811
    """A replica that was behind takes over under a runner at work."""
    runner = deploy()
    world.minute(runner)
    world.copied()
    world.minute(runner)
    world.minute(runner, works=False)
    waiting = world.slot()
    world.swapped()
    kept = redis_after()
    world.clock.advance(timedelta(seconds=15))
    world.tick(runner)
    world.work()
    assert world.executed.count(waiting) == kept
    world.goes_on(runner)
    assert not world.twice and losses() == 1
    assert decided() == ({"slot_fired": 5} if kept else {"slot_fired": 4, "decision_lost": 1})


def test_restored_backup(world: World, deploy: Any, redis_after: Any) -> None:  # noqa: F811
    """Everything is stopped, the copy is restored, and everything is started."""
    runner = deploy()
    world.minute(runner)
    world.copied()
    world.minute(runner)
    world.minute(runner, works=False)
    waiting = world.slot()
    runner.stop()
    world.swapped()
    kept = redis_after()
    world.clock.advance(timedelta(seconds=15))
    connections["default"].close()
    runner = deploy()
    world.work()
    assert world.executed.count(waiting) == 1
    world.goes_on(runner)
    # With Redis emptied nothing remembers: the newest slot fires as after downtime.
    assert not world.twice and losses() == kept
    assert decided() == ({"slot_fired": 5} if kept else {"slot_fired": 4, "superseded": 1})


def split(world: World, deploy: Any) -> tuple[Runner, Runner]:  # noqa: F811
    """Two runners, each on its own database and with the same Redis; workers are on the one that stays."""
    old = deploy()
    world.minute(old)
    world.copied()
    with world.on(world.databases.copy):
        CronLease.objects.filter(name=LEADER).update(holder="")  # its lease has run out
        new = Runner()
        new.start()
        new.tick()
    return old, new


def split_for_three_minutes(world: World, old: Runner, new: Runner) -> None:
    """Both sides decide the same slots, now the one first, now the other; workers write to the database
    that stays."""
    for number in range(3):
        world.clock.advance(MINUTE)
        sides = [(world.databases.live, old), (world.databases.copy, new)]
        for database, runner in reversed(sides) if number == 1 else sides:
            with world.on(database):
                world.tick(runner)
            with world.on(world.databases.copy):
                world.work()
    world.swapped()
    world.clock.advance(timedelta(seconds=15))


def test_split_brain(world: World, deploy: Any, redis_after: Any) -> None:  # noqa: F811
    """The runner whose database is gone leads afterwards."""
    old, new = split(world, deploy)
    split_for_three_minutes(world, old, new)
    redis_after()
    new.stop()
    world.tick(old)
    world.goes_on(old)
    assert not world.twice and losses() == 1
    assert decided() == {"slot_fired": 6}
    assert CronRun.objects.filter(status="succeeded").count() == 6


@pytest.mark.parametrize("world", ["none"], indirect=True)
def test_split_brain_after_which_the_other_leads(
    world: World,
    deploy: Any,  # noqa: F811
    redis_after: Any,
) -> None:
    """For it the log never went back."""
    old, new = split(world, deploy)
    split_for_three_minutes(world, old, new)
    redis_after()
    old.stop()
    world.tick(new)
    world.goes_on(new)
    assert not world.twice and not losses()
    assert decided() == {"slot_fired": 6}


@pytest.mark.parametrize("world", ["none"], indirect=True)
def test_split_brain_with_workers_on_both_sides(world: World, deploy: Any) -> None:  # noqa: F811
    """Two logs are two truths: a run is executed once by each, at most."""
    old, new = split(world, deploy)
    for _ in range(3):
        world.clock.advance(MINUTE)
        world.tick(old)
        world.work()
        with world.on(world.databases.copy):
            world.tick(new)
            world.work()
    world.swapped()
    world.clock.advance(timedelta(seconds=15))
    new.stop()
    world.tick(old)
    assert set(Counter(world.executed).values()) <= {1, 2}
    world.goes_on(old)
    assert losses() == 1
    assert decided() == {"slot_fired": 6}
    assert CronRun.objects.filter(status="succeeded").count() == 6
