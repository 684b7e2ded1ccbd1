"""What people do while a runner runs: pause, resume, trigger."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from rq import Queue

from rqcron_events.errors import CronConfigError
from rqcron_events.execution.enqueuer import job_id
from rqcron_events.models import CronEvent
from rqcron_events.operations import controls
from rqcron_events.operations.backfill import plan_backfill
from rqcron_events.queries.audit import audit
from rqcron_events.queries.explain import explain
from rqcron_events.testing import assert_fired, assert_not_fired

MINUTE = timedelta(minutes=1)


def slot(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-02T{text}").replace(tzinfo=UTC)


def types(cron: str) -> list[str]:
    return list(CronEvent.objects.for_cron(cron).order_by("id").values_list("type", flat=True))


def test_a_pause_reaches_a_runner_that_has_not_heard_of_it(deploy, add, clock):
    """The pause raises the stream's version, so the runner's stale decision is refused."""
    add("report", schedule="* * * * *")
    runner = deploy()
    controls.pause("report", reason="stop", by="ann")
    clock.advance(MINUTE)
    runner.enqueue(runner._decide_slice(clock.now))  # without following the log first
    runner.tick()
    assert_not_fired("report", slot("09:01"), reason="paused")


def test_everything_can_be_paused_until_a_time(deploy, add, clock):
    add("report", schedule="* * * * *")
    runner = deploy()
    controls.pause_all(reason="move", until=slot("09:02:30"), by="ann")
    for _ in range(3):
        clock.advance(MINUTE)
        runner.tick()
    assert_not_fired("report", slot("09:01"), reason="all_paused")
    assert_not_fired("report", slot("09:02"), reason="all_paused")
    assert_fired("report", slot("09:03"))


def test_triggering_inside_a_transaction_enqueues_at_commit(
    deploy, add, clock, redis_connection, django_capture_on_commit_callbacks
):
    add("report", schedule="0 0 1 1 *")
    deploy()
    with django_capture_on_commit_callbacks(execute=True):
        run_id = controls.trigger("report", reason="now", by="ann")
        assert Queue("default", connection=redis_connection).count == 0
    assert Queue("default", connection=redis_connection).job_ids == [job_id(run_id)]
    requested = CronEvent.objects.get(type="run_requested")
    assert (requested.actor, requested.reason, requested.data["trigger"]) == (
        "ann",
        "now",
        "manual",
    )


NAIVE = datetime(2026, 3, 2, 12, 0)


@pytest.mark.parametrize("value", ["2h", 7, date(2026, 3, 2), NAIVE], ids=repr)
@pytest.mark.parametrize(
    ("ask", "name"),
    [
        (lambda value: controls.pause("any", until=value), "until"),
        (lambda value: controls.pause_all(until=value), "until"),
        (lambda value: explain("any", value), "at"),
        (lambda value: audit(since=value), "since"),
        (lambda value: plan_backfill("send", value), "start"),
        (lambda value: CronEvent.objects.between(None, value), "until"),
    ],
    ids=["pause", "pause_all", "explain", "audit", "backfill", "between"],
)
def test_what_is_no_instant_is_named_with_the_remedy(add, deploy, ask, name, value):
    add("send", every=MINUTE)
    deploy()
    why = "has no time zone. Add tzinfo" if value is NAIVE else "is not a datetime. Give one with"
    with pytest.raises(CronConfigError, match=f"^{name}=.* {why}"):
        ask(value)
