"""Leading does not hang on a row or a table that somebody else holds, nor on a clock set back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from rqcron_events.leadership.downtime import downtime_at
from rqcron_events.leadership.lease import LEADER, Lease, beats
from rqcron_events.models import CronLease, CronSnapshot
from rqcron_events.runner.runner import Runner

ROW = "SELECT 1 FROM rqcron_lease WHERE name = 'leader' FOR UPDATE"
TABLE = "LOCK TABLE rqcron_lease IN ACCESS EXCLUSIVE MODE"
HELD_SECONDS = 5
"""At most; nothing here takes half of it."""


@contextmanager
def locked(statement: str) -> Iterator[None]:
    """Another session holds it, and does nothing more. What waits for it fails the test: the server
    ends that session after some seconds."""
    other = connection.copy()
    try:
        with transaction.atomic(using=connection.alias):
            pass  # the test's own session is idle
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute(f"SET idle_in_transaction_session_timeout = '{HELD_SECONDS}s'")
            cursor.execute(statement)
        yield
        try:
            with other.cursor() as cursor:
                cursor.execute("SELECT 1")
        except (OperationalError, InterfaceError) as error:
            pytest.fail(f"Something waited until the lock was gone: {error}")
        other.rollback()  # answered when the lock is gone; a session that is closed ends some time later
    finally:
        other.close()


@pytest.fixture
def age(transactional_db: None) -> Callable[[str, float], None]:
    """``age(name, seconds)``: the row's last heartbeat was then; below zero: in the future."""

    def set_age(name: str, seconds: float) -> None:
        CronLease.objects.filter(name=name).update(renewed_at=Now() - timedelta(seconds=seconds))

    return set_age


@pytest.mark.parametrize("statement", [ROW, TABLE])
def test_who_leads_goes_on_while_the_lease_is_locked(
    postgresql: None, transactional_db: None, statement: str
) -> None:
    one = Lease("one")
    assert one.hold()
    one._renewed_at = float("-inf")
    with locked(statement):
        assert one.hold()
        assert one.locked_since is not None
        assert not one.confirm(), "a snapshot waits for a better moment"
    one._renewed_at = float("-inf")
    assert one.hold()
    assert one.locked_since is None
    assert one.confirm()


def test_who_was_thought_dead_and_comes_back_does_not_take_the_lease_from_its_heir(
    age: Callable[[str, float], None],
) -> None:
    one, two = Lease("one"), Lease("two")
    assert one.hold()
    age(LEADER, 60)
    assert two.hold()
    one._renewed_at = float("-inf")
    assert one.held
    assert not one.hold()
    assert two.confirm()


def test_a_lease_that_stays_locked_makes_the_leader_late_once(
    postgresql: None, transactional_db: None
) -> None:
    one = Lease("one")

    def waited() -> list[str]:
        """The bounds of its statements, in the order of their beginning."""
        one._renewed_at = one._beaten_at = float("-inf")
        with CaptureQueriesContext(connection) as queries:
            one.beat()
            assert one.hold()
        return re.findall(r"lock_timeout', '(\w+)'", " ".join(q["sql"] for q in queries))

    assert waited() == ["50ms", "50ms"]
    with locked("SELECT 1 FROM rqcron_lease FOR UPDATE"):
        assert waited() == ["50ms", "50ms"]
        assert waited() == waited() == ["1ms", "1ms"]
    assert waited() == ["1ms", "1ms"]
    assert waited() == ["50ms", "50ms"]


def test_a_standby_leads_when_a_locked_lease_has_run_out(
    postgresql: None, age: Callable[[str, float], None]
) -> None:
    assert Lease("one").hold()
    two = Lease("two")
    with locked(ROW):
        assert not two.hold(), "the lease is fresh"
    age(LEADER, 60)
    with locked(ROW):
        assert two.hold()


def test_a_standby_leads_when_the_whole_table_stays_locked(
    postgresql: None, transactional_db: None, settings: object
) -> None:
    settings.RQCRON_LEASE_SECONDS = 1  # type: ignore[attr-defined]
    assert Lease("one").hold()
    two = Lease("two")
    with locked(TABLE):
        assert not two.hold(), "somebody may lead; nobody can tell"
        assert two.locked_since is not None
        two.locked_since -= 1
        assert two.hold(), "for longer than a lease"


def test_a_heartbeat_waits_for_nobody(postgresql: None, transactional_db: None) -> None:
    one = Lease("one")
    assert one.beat()
    one._beaten_at = float("-inf")
    with locked("SELECT 1 FROM rqcron_lease WHERE name = 'one' FOR UPDATE"):
        assert not one.beat()


def test_letting_go_of_a_lease_and_of_a_lost_runner_waits_for_nobody(
    postgresql: None, age: Callable[[str, float], None]
) -> None:
    Lease("lost").beat()
    age("lost", 60)
    one = Lease("one")
    assert one.hold()
    with locked("SELECT 1 FROM rqcron_lease FOR UPDATE"):
        one.forget("lost")
        one.step_down()
        assert not one.held
    assert [runner.id for runner in one.lost_runners()] == ["lost"], (
        "found again, and forgotten then"
    )
    one.forget("lost")
    assert one.lost_runners() == []


def test_a_runner_that_could_not_beat_is_not_lost_to_itself(
    age: Callable[[str, float], None],
) -> None:
    """Somebody held its row for long, and it leads."""
    one = Lease("one")
    one.beat()
    age("one", 60)
    assert one.lost_runners() == []
    assert [runner.id for runner in Lease("two").lost_runners()] == ["one"]


def test_a_lease_of_the_future_is_taken_over(age: Callable[[str, float], None]) -> None:
    """The database's clock was set back, or a server with another clock took over."""
    assert Lease("one").hold()
    age(LEADER, -3600)
    assert Lease("two").hold()


def test_a_heartbeat_of_the_future_is_no_sign_of_life(age: Callable[[str, float], None]) -> None:
    lost = Lease("lost")
    lost.beat()
    assert Lease("one").lost_runners() == []
    age("lost", -3600)
    assert [runner.id for runner in Lease("one").lost_runners()] == ["lost"]
    assert not CronLease.objects.filter(beats(60), name="lost").exists()
    assert downtime_at(CronLease.objects.get(name="lost").renewed_at)[0] is not None


@pytest.mark.parametrize(
    "statement",
    ["LOCK TABLE rqcron_snapshot IN ACCESS EXCLUSIVE MODE", ROW],
    ids=["the table", "the lease"],
)
def test_a_snapshot_that_is_locked_is_saved_later(
    postgresql: None, transactional_db: None, statement: str
) -> None:
    runner = Runner()
    assert runner.lease.hold()
    with locked(statement):
        runner.save_snapshot()
    assert not CronSnapshot.objects.exists()
    runner.save_snapshot()
    assert CronSnapshot.objects.exists()
