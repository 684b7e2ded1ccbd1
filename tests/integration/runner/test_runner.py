"""The runner with a real ledger and a real Redis, its clock set by the test."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from django.db import connection
from rq import Queue
from rq.job import Job

from rqcron_events.core.definition import run_id_for_slot
from rqcron_events.core.events import Event, EventType, cron_stream
from rqcron_events.execution.enqueuer import job_id
from rqcron_events.ledger import store
from rqcron_events.ledger.cron_states import States
from rqcron_events.models import CronEvent, CronLease, CronSnapshot
from rqcron_events.operations import controls
from rqcron_events.runner.runner import Runner
from rqcron_events.signals import event_appended
from rqcron_events.testing import assert_fired, assert_not_fired

MINUTE = timedelta(minutes=1)


def slot(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-02T{text}").replace(tzinfo=UTC)


def types(cron: str) -> list[str]:
    return list(CronEvent.objects.for_cron(cron).order_by("id").values_list("type", flat=True))


def test_a_due_slot_is_decided_enqueued_and_recorded(deploy, add, clock, redis_connection):
    add("report", schedule="* * * * *", queue="high", timeout=30)
    runner = deploy()
    clock.advance(MINUTE)
    runner.tick()
    assert types("report") == ["cron_registered", "slot_fired", "run_enqueued"]
    run_id = run_id_for_slot("report", slot("09:01"))
    job = Job.fetch(job_id(run_id), connection=redis_connection)
    assert (job.origin, job.timeout, job.get_status()) == ("high", 30, "queued")
    assert job.args == ("report", str(run_id))
    assert "report" in job.description
    assert "2026-03-02T09:01" in job.description
    fired = assert_fired("report", slot("09:01"))
    assert fired.data["lateness_seconds"] == 30


def test_a_job_is_never_in_redis_before_its_decision_is_committed(
    deploy, add, clock, redis_connection, monkeypatch
):
    """I3."""
    add("report", schedule="* * * * *")
    runner = deploy()
    seen: list[bool] = []
    original = runner.rq.enqueuer.enqueue

    def watched(requests):
        seen.extend(
            CronEvent.objects.of_type(EventType.SLOT_FIRED).for_run(request.run_id).exists()
            for request in requests
        )
        return original(requests)

    monkeypatch.setattr(runner.rq.enqueuer, "enqueue", watched)
    clock.advance(MINUTE)
    runner.tick()
    assert seen == [True]


def test_a_decision_that_the_database_refuses_stops_no_other_cron(
    deploy, add, clock, caplog, foreign_constraint
):
    """I10."""
    for name in ("bad", "good"):
        add(name, schedule="* * * * *")
    runner = deploy()
    clock.advance(MINUTE)
    runner.tick()
    assert types("good") == ["cron_registered", "slot_fired", "run_enqueued"]
    assert types("bad") == ["cron_registered"]
    [record] = [item for item in caplog.records if getattr(item, "action", "") == "event_refused"]
    assert record.cron == "bad"
    assert "no_bad" in record.message
    caplog.clear()
    runner.tick()
    assert caplog.records == []


@pytest.fixture
def foreign_constraint(transactional_db) -> Iterator[None]:
    """Somebody's own, by which one cron cannot fire."""
    add, drop = {
        "postgresql": (
            "ALTER TABLE rqcron_event ADD CONSTRAINT no_bad "
            "CHECK (NOT (type = 'slot_fired' AND cron = 'bad'))",
            "ALTER TABLE rqcron_event DROP CONSTRAINT no_bad",
        ),
        "sqlite": (
            "CREATE TRIGGER no_bad BEFORE INSERT ON rqcron_event "
            "WHEN NEW.type = 'slot_fired' AND NEW.cron = 'bad' "
            "BEGIN SELECT RAISE(ABORT, 'no_bad'); END",
            "DROP TRIGGER no_bad",
        ),
    }[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(add)
    yield
    with connection.cursor() as cursor:
        cursor.execute(drop)


def test_nothing_is_due_at_registration_and_nothing_is_decided_twice(deploy, add, clock):
    add("report", schedule="* * * * *")
    runner = deploy()
    runner.tick()
    clock.advance(MINUTE)
    for _ in range(3):
        runner.tick()
    assert types("report").count("slot_fired") == 1


def test_a_stale_runner_that_thinks_it_leads_decides_nothing_twice(deploy, add, clock):
    """I1: the version of the stream is the arbiter, not the lease."""
    add("report", schedule="* * * * *")
    first = deploy()
    second = deploy()
    clock.advance(MINUTE)
    first.lease.held = True
    first.leading = True
    first.lease._renewed_at = float("inf")
    first_page = first.states.position
    second.tick()
    first.states.position = first_page  # it has not heard of the other yet
    first.enqueue(first._decide_slice(clock.now))
    assert types("report").count("slot_fired") == 1
    assert types("report").count("run_enqueued") == 1


def test_after_downtime_the_newest_slot_fires_and_the_others_are_accounted_for(deploy, add, clock):
    add("report", schedule="*/10 * * * *")
    deploy()
    clock.advance(timedelta(hours=1))
    deploy()
    assert_fired("report", slot("10:00"))
    missed = assert_not_fired("report", slot("09:10"), reason="superseded")
    assert missed.data["count"] == 5
    assert missed.data["first"] == slot("09:10").isoformat()
    assert missed.scheduled_for == slot("09:50")


def test_a_long_downtime_is_decided_in_bounded_events(deploy, add, clock):
    add("report", every=timedelta(seconds=1))
    deploy()
    clock.advance(timedelta(hours=2))
    runner = deploy()
    for _ in range(5):
        runner.tick()
    missed = CronEvent.objects.of_type("slot_missed")
    assert sum(event.data["count"] for event in missed) == 2 * 3600 - 1
    assert missed.count() < 20
    assert_fired("report", clock.now)


def test_one_undecidable_cron_does_not_stop_the_others(deploy, add, clock, caplog):
    """I10: its logged definition cannot be read any more, as when a zone left the tz database."""
    add("report", schedule="* * * * *")
    add("broken", schedule="* * * * *")
    deploy()
    head = CronEvent.objects.filter(stream=cron_stream("broken")).last()
    definition = {**head.data["definition"], "timezone": "Atlantis/Capital"}
    store.append(
        [
            Event(
                stream=cron_stream("broken"),
                version=head.version + 1,
                type=EventType.CRON_CHANGED,
                cron="broken",
                occurred_at=clock.now,
                data={**head.data, "definition": definition},
            )
        ]
    )
    from rqcron_events.runner.runner import Runner

    runner = Runner()
    CronLease.objects.all().update(holder="")
    runner.tick()
    clock.advance(MINUTE)
    runner.tick()
    assert_fired("report", slot("09:01"))
    assert [r for r in caplog.records if getattr(r, "action", "") == "cron_not_decided"]


def test_overlap_queue_runs_the_newest_waiting_slot_when_the_run_ends(deploy, add, clock):
    add("report", schedule="* * * * *", overlap="queue")
    runner = deploy()
    clock.set(slot("09:01:01"))
    runner.tick()
    first = run_id_for_slot("report", slot("09:01"))
    for text in ("09:02:01", "09:03:01"):
        clock.set(slot(text))
        runner.tick()
    assert_not_fired("report", slot("09:02"), reason="overlap")
    assert assert_not_fired("report", slot("09:03")) is None  # it waits
    from rqcron_events import explain

    assert explain("report", slot("09:03")).reason == "waiting"
    store.append_next(
        [
            Event(
                stream=f"run/{first}",
                version=0,
                type=EventType.RUN_SUCCEEDED,
                cron="report",
                run_id=first,
                occurred_at=clock.now,
            )
        ]
    )
    clock.advance(timedelta(seconds=5))
    runner.tick()
    assert_fired("report", slot("09:03"))


def test_a_run_that_was_decided_but_never_enqueued_is_enqueued_later(
    deploy, add, clock, redis_connection
):
    add("report", schedule="* * * * *")
    runner = deploy()
    clock.advance(MINUTE)
    runner._decide_slice(clock.now)  # and then the process dies
    assert Queue("default", connection=redis_connection).count == 0
    clock.advance(timedelta(seconds=15))
    runner = deploy()
    runner._reconciled_at = float("-inf")
    runner.tick()
    assert Queue("default", connection=redis_connection).count == 1
    runner._reconciled_at = float("-inf")
    clock.advance(timedelta(seconds=10))
    runner.tick()
    assert Queue("default", connection=redis_connection).count == 1
    assert types("report").count("run_enqueued") == 1


def test_redis_away_is_recorded_once_and_the_jobs_follow(
    deploy, add, clock, redis_connection, monkeypatch
):
    from redis.exceptions import ConnectionError as RedisConnectionError

    add("report", schedule="* * * * *")
    runner = deploy()
    queue = runner.rq.enqueuer.queue("default")

    def refuse(*args, **kwargs):
        raise RedisConnectionError("refused")

    with monkeypatch.context() as away:
        away.setattr(queue.connection, "pipeline", refuse)
        away.setattr(queue.connection, "execute_command", refuse)
        for _ in range(3):
            clock.advance(MINUTE)
            runner._reconciled_at = float("-inf")
            runner.tick()
    assert types("report").count("enqueue_failed") == 1
    assert types("report").count("slot_fired") == 3
    clock.advance(timedelta(seconds=20))
    runner._reconciled_at = float("-inf")
    runner.tick()
    assert Queue("default", connection=redis_connection).count == 3
    assert types("report").count("run_enqueued") == 3


@pytest.mark.parametrize("damage", ["whole", "a row is gone", "all rows are gone"])
def test_the_snapshot_is_a_cache(deploy, add, clock, damage):
    add("report", schedule="* * * * *")
    add("other", every=timedelta(seconds=20), overlap="skip")
    runner = deploy()
    clock.advance(MINUTE)
    runner.tick()
    runner.states.save_snapshot(runner.lease.confirm)
    clock.advance(MINUTE)
    runner.tick()
    if damage == "a row is gone":
        CronSnapshot.objects.filter(name="report").delete()
    elif damage == "all rows are gone":
        CronSnapshot.objects.all().delete()
    loaded = States.load()
    runner.states.follow()
    assert loaded.crons == runner.states.crons
    assert loaded.position == runner.states.position


def test_the_process_that_lost_the_lease_does_not_save_its_snapshot(deploy, add, clock):
    add("report", schedule="* * * * *")
    stale = deploy()
    deploy()
    CronSnapshot.objects.all().delete()
    stale.states.save_snapshot(stale.lease.confirm)
    assert not CronSnapshot.objects.exists()


def test_a_leader_that_fell_silent_is_named_by_what_came_late(deploy, add, clock):
    from rqcron_events import explain

    add("report", schedule="* * * * *")
    silent = deploy()
    # It is frozen: it neither renews its lease nor says goodbye.
    CronLease.objects.update(renewed_at=slot("09:00:40"))
    standby = Runner()
    standby.start()
    clock.set(slot("09:01:30"))
    standby.tick()
    fired = assert_fired("report", slot("09:01"))
    assert fired.data["held_up"]["cause"] == "stale_lease"
    answer = explain("report", slot("09:01"))
    assert (
        f"the leading runner {silent.id} was silent from 2026-03-02 09:00:40 UTC" in answer.summary
    )
    clock.set(slot("09:02:01"))
    standby.tick()
    assert "held_up" not in assert_fired("report", slot("09:02")).data


def test_a_refused_decision_is_made_again_at_once_on_what_the_other_writer_wrote(add, db, clock):
    """Without the lease and without another tick, as in ``cron_run --once``."""
    add("report", schedule="* * * * *")
    list(Runner().decide_due())
    clock.advance(MINUTE)
    add("new", schedule="0 0 * * *")

    def overtake(event, **_):  # the states are loaded by now
        if event.type is EventType.CRON_REGISTERED:
            controls.pause("report", until=clock.now + MINUTE, by="ann")

    event_appended.connect(overtake)
    try:
        rounds = list(islice(Runner().decide_due(), 5))
    finally:
        event_appended.disconnect(overtake)
    assert [len(requests) for requests in rounds] == [0, 1]
    assert types("report") == ["cron_registered", "cron_paused", "slot_fired"]
