"""A backfill that somebody carries on step by step, as a web page does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from rq import Queue, SimpleWorker

from rqcron_events.errors import CronConfigError
from rqcron_events.models import CronEvent
from rqcron_events.operations.backfill import BackfillPlan, plan_backfill
from rqcron_events.operations.backfill_step import backfill_step, count_slots

pytestmark = pytest.mark.usefixtures("transactional_db")  # what is asked for has to be committed

FIRST = datetime(2026, 3, 2, 5, tzinfo=UTC)
LAST = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.fixture
def outcomes() -> list[bool]:
    """Whether each run succeeds, in the order in which they begin."""
    return []


@pytest.fixture
def hourly(deploy, add, outcomes):
    def work() -> None:
        if not outcomes.pop(0):
            raise ValueError("no")

    add("hourly", work, schedule="0 * * * *")
    return deploy()


def plan() -> BackfillPlan:
    return plan_backfill("hourly", FIRST, LAST)


def work(connection) -> None:
    SimpleWorker([Queue("default", connection=connection)], connection=connection).work(burst=True)


def asked() -> list[datetime | None]:
    rows = CronEvent.objects.of_type("run_requested").order_by("id")
    return list(rows.values_list("scheduled_for", flat=True))


def test_steps_ask_for_the_oldest_slots_and_go_on_behind_what_failed(
    hourly, outcomes, redis_connection
):
    outcomes += [True, False, True, True]
    step = backfill_step(plan(), max_parallel=2, by="user:ann", reason="late data")
    assert [item.slot.hour for item in step.asked] == [5, 6]
    again = backfill_step(plan(), through=step.through, max_parallel=2, by="user:ann")
    assert (again.asked, again.through) == ([], step.through), "two are open, which is the limit"

    work(redis_connection)
    counts = count_slots(plan().slots, step.through)
    assert counts == {"done": 1, "not_succeeded": 1, "waiting": 2}
    step = backfill_step(plan(), through=step.through, max_parallel=2, by="user:ann")
    assert [item.slot.hour for item in step.asked] == [7, 8], "the failed one is not tried again"

    work(redis_connection)
    step = backfill_step(plan(), through=step.through, max_parallel=2)
    assert step.asked == []
    assert count_slots(plan().slots, step.through) == {"done": 3, "not_succeeded": 1}
    assert asked() == [FIRST + timedelta(hours=n) for n in range(4)]
    event = CronEvent.objects.of_type("run_requested").first()
    assert (event.actor, event.reason) == ("user:ann", "late data")


def test_a_backfill_that_begins_anew_tries_again_what_failed(hourly, outcomes, redis_connection):
    outcomes += [False, True]
    first = backfill_step(plan(), by="ann")
    work(redis_connection)
    anew = backfill_step(plan(), by="ann")
    assert [item.slot for item in anew.asked] == [FIRST]
    assert anew.asked[0].run_id != first.asked[0].run_id


def test_the_same_step_twice_asks_once(hourly):
    known = plan()
    backfill_step(known, max_parallel=3, by="ann")
    backfill_step(known, max_parallel=3, by="bob")
    assert len(asked()) == 3


def test_runs_that_must_not_overlap_are_asked_for_one_by_one(deploy, add):
    add("hourly", schedule="0 * * * *", overlap="skip")
    deploy()
    with pytest.raises(CronConfigError, match="must not overlap; max_parallel=2"):
        backfill_step(plan(), max_parallel=2)
    assert len(backfill_step(plan()).asked) == 1
    assert backfill_step(plan()).asked == []
