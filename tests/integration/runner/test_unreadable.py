"""One event that cannot be read is one cron's trouble: the others are decided as before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from rqcron_events.core.codec import NewerEvent
from rqcron_events.core.events import make
from rqcron_events.core.events.make import LOG_FORMAT
from rqcron_events.ledger import quarantine, store
from rqcron_events.ledger.cron_states import States
from rqcron_events.models import CronEvent, CronSnapshot, QuarantinedEvent
from rqcron_events.operations import controls
from rqcron_events.operations.quarantine import accept
from rqcron_events.queries.explain import explain
from rqcron_events.queries.health import health
from rqcron_events.runner.runner import Runner

MINUTE = timedelta(minutes=1)
DEFINITION = {"name": "bad", "function": "a:b", "expression": "* * * * *"}


def nested(depth: int) -> Any:
    found: Any = []
    for _ in range(depth):
        found = [found]
    return found


def changed(**definition: Any) -> dict[str, Any]:
    return {"definition": {**DEFINITION, **definition}, "definition_version": 2}


POISONS: dict[str, dict[str, Any]] = {
    "a type that nobody knows": {"type": "cron_painted"},
    "a schema version that nobody knows": {"schema_version": 99},
    "no definition": {"data": {}},
    "a definition that is a list": {"data": {"definition": [1, 2]}},
    "data that is a list": {"data": [1, 2]},
    "data that is null in JSON": {"data": "null"},
    "data that is a number": {"data": 7},
    "an unknown policy": {"data": changed(overlap="sometimes")},
    "a queue that is a list": {"data": changed(queue=["a"])},
    "a period that is text": {"data": changed(expression=None, every_seconds="often")},
    "a jitter without end": {"data": changed(jitter_seconds=1e308)},
    "options that are a list": {"data": changed(options=[1])},
    "retries without a bound": {"data": changed(retries={"intervals": [1]})},
    "a date that is none": {"data": {**changed(), "effective_from": "infinity"}},
    "a date without a zone": {"data": {**changed(), "effective_from": "2026-03-02T09:00:00"}},
    "a date that is a number": {"data": {**changed(), "effective_from": 5}},
    "a version that is text": {"data": {**changed(), "definition_version": "two"}},
    "a pause that ends never and not": {"type": "cron_paused", "data": {"until": "infinity"}},
    "a run without an id": {"type": "slot_fired", "data": {}},
    "a request without an id": {"type": "run_requested", "data": {}},
    "a decision without a slot": {"type": "slot_skipped", "data": {}},
    "nested 900 times": {"data": {"definition": nested(900)}},
}


def poison(stream: str = "cron/bad", cron: str = "bad", **given: Any) -> int:
    newest = CronEvent.objects.filter(stream=stream).order_by("-version").first()
    row = CronEvent(
        stream=stream,
        version=1 + (newest.version if newest else 0),
        cron=cron,
        occurred_at=datetime(2026, 3, 2, 9, 1, tzinfo=UTC),
        **{"type": "cron_changed", "data": {}, **given},
    )
    row.save(force_insert=True)
    return row.id


def decided(cron: str) -> list[datetime]:
    rows = CronEvent.objects.for_cron(cron).of_type("slot_fired").filter(run_id__isnull=False)
    return list(rows.order_by("id").values_list("scheduled_for", flat=True))


@pytest.fixture
def two(deploy, add) -> Runner:
    add("bad", schedule="* * * * *")
    add("good", schedule="* * * * *")
    return deploy()


@pytest.mark.parametrize("what", POISONS)
def test_a_cron_whose_stream_cannot_be_read_is_set_aside_and_the_others_go_on(
    rows_of_before, two, clock, what
):
    event_id = poison(**POISONS[what])
    clock.advance(MINUTE)
    two.tick()
    assert len(decided("good")) == 1
    assert decided("bad") == []
    [row] = QuarantinedEvent.objects.all()
    assert (row.reader, row.event_id, row.stream) == ("runner", event_id, "cron/bad")
    assert any(f"Event {event_id} of cron/bad" in problem for problem in health().problems)


@pytest.mark.parametrize("what", POISONS)
def test_a_runner_that_starts_on_it_says_the_same(rows_of_before, two, clock, crons, what):
    event_id = poison(**POISONS[what])
    CronSnapshot.objects.all().delete()
    two.lease.release()
    runner = Runner()
    runner.start()
    clock.advance(MINUTE)
    runner.tick()
    assert (len(decided("good")), decided("bad")) == (1, [])
    assert [row.event_id for row in quarantine.quarantined()] == [event_id]
    assert CronEvent.objects.filter(stream="cron/bad").count() == 2


def test_the_mark_outlives_the_process_by_the_snapshot(two, clock):
    poison()
    two.tick()
    two.stop()
    assert CronSnapshot.objects.filter(name="").exists()
    states = States.load()
    assert states.is_set_aside("bad")
    assert not states.is_set_aside("good")


def test_a_quarantine_that_somebody_emptied_is_filled_again(two):
    event_id = poison()
    two.tick()
    two.stop()
    QuarantinedEvent.objects.all().delete()
    assert States.load().is_set_aside("bad")
    assert [row.event_id for row in quarantine.quarantined()] == [event_id]


def test_an_accepted_event_counts_as_nothing_and_its_cron_goes_on(two, clock):
    event_id = poison()
    two.tick()
    accepted = make.event_accepted(
        event_id=event_id, stream="cron/bad", version=2, reason="", actor="ann", at=clock.now
    )
    store.append_next([accepted])
    clock.advance(MINUTE)
    two.tick()
    assert (len(decided("good")), len(decided("bad"))) == (1, 1)
    assert quarantine.quarantined() == []
    CronSnapshot.objects.all().delete()
    assert not States.load().is_set_aside("bad")
    assert quarantine.quarantined() == []


def test_what_a_later_release_can_read_is_folded_when_it_starts(two, clock, monkeypatch):
    from rqcron_events.core import codec

    poison(type="cron_painted", data={})
    two.tick()
    two.stop()
    assert States.load().is_set_aside("bad")
    monkeypatch.setitem(codec._TYPES, "cron_painted", codec.EventType.CRON_RESUMED)
    states = States.load()
    assert not states.is_set_aside("bad")
    assert states.crons["bad"].version == 2
    assert quarantine.quarantined() == []


def test_only_a_release_that_announced_itself_makes_a_runner_stand_by(two):
    poison(stream="runner/new", cron="", type="runner_started", data={"format": LOG_FORMAT + 1})
    poison(type="cron_painted")
    with pytest.raises(NewerEvent, match="unknown to this release"):
        two.tick()
    assert quarantine.quarantined() == []


def test_a_runner_announces_its_format_and_what_finds_its_slots(two):
    [started] = CronEvent.objects.of_type("runner_started").events()
    assert started.data["format"] == LOG_FORMAT
    assert started.data["croniter"]
    assert "tzdata" in started.data


def test_a_thousand_of_them_stop_nobody(rows_of_before, two, clock):
    first = poison()
    CronEvent.objects.bulk_create(
        [
            CronEvent(
                stream="cron/bad",
                version=3 + n,
                cron="bad",
                type="cron_changed",
                data=[n],
                occurred_at=clock.now,
            )
            for n in range(1_000)
        ]
    )
    clock.advance(MINUTE)
    two.tick()
    assert (len(decided("good")), decided("bad")) == (1, [])
    while two.states.is_behind:
        two.tick()
    assert QuarantinedEvent.objects.count() == 1_001
    assert health().problems[-1] == "996 more events cannot be read. See cron_quarantine."
    assert first


@pytest.mark.parametrize("column", ["occurred_at", "scheduled_for", "recorded_at"])
@pytest.mark.parametrize("value", ["infinity", "-infinity"])
def test_a_time_that_python_does_not_have_stops_nobody(rows_of_before, two, clock, column, value):
    """The driver refuses the whole page, not the row."""
    columns = {
        "stream": "cron/bad",
        "version": 2,
        "type": "cron_paused",
        "schema_version": 1,
        "cron": "bad",
        "reason": "",
        "actor": "",
        "occurred_at": "2026-03-02 09:01:00",
        "recorded_at": "2026-03-02 09:01:00",
        "data": "{}",
        column: value,
    }
    with connection.cursor() as cursor:
        marks = ", ".join(["%s"] * len(columns))
        cursor.execute(
            f"INSERT INTO rqcron_event ({', '.join(columns)}) VALUES ({marks})",
            list(columns.values()),
        )
    clock.advance(MINUTE)
    two.tick()
    assert (len(decided("good")), decided("bad")) == (1, [])
    [row] = quarantine.quarantined()
    assert "out of range" in row.error
    assert any("of cron/bad cannot be read" in problem for problem in health().problems)


def skipped(cron: str) -> list[str]:
    rows = CronEvent.objects.for_cron(cron).of_type("slot_skipped").order_by("id")
    return list(rows.values_list("reason", flat=True))


NO_PAUSE: dict[str, dict[str, Any]] = {
    "a beginning that is none": {"data": {"effective_from": "infinity"}},
    "an end that is none": {"data": {"until": "soon"}},
    "data that is a list": {"data": [1, 2]},
    "a schema version that nobody knows": {"schema_version": 99},
}


@pytest.mark.parametrize("what", NO_PAUSE)
def test_a_pause_of_everything_that_cannot_be_read_is_a_pause_without_end(
    rows_of_before, two, clock, what
):
    event_id = poison(stream="ledger", cron="", type="all_paused", **NO_PAUSE[what])
    clock.advance(2 * MINUTE)
    two.tick()
    assert (decided("good"), skipped("good")) == ([], ["all_paused"])
    evidence = CronEvent.objects.of_type("slot_skipped").for_cron("good").get().data["evidence"]
    assert f"event {event_id}" in evidence["reason"]
    assert any(f"Event {event_id} of ledger" in problem for problem in health().problems)
    ahead = explain("good", clock.now.replace(second=0) + MINUTE)
    assert f"(event {event_id}, which cannot be read" in ahead.summary, ahead.summary
    two.stop()
    clock.advance(MINUTE)
    runner = Runner()  # with the snapshot
    runner.start()
    runner.tick()
    assert (decided("good"), skipped("good")) == ([], ["all_paused", "all_paused"])
    accept(event_id, reason="it was a test", by="ann")
    clock.advance(MINUTE)
    runner.tick()
    assert len(decided("good")) == 1


def test_everything_that_is_resumed_ends_it_too(two, clock):
    poison(stream="ledger", cron="", type="all_paused", data={"effective_from": "infinity"})
    clock.advance(MINUTE)
    two.tick()
    assert decided("good") == []
    controls.resume_all(by="ann")
    clock.advance(MINUTE)
    two.tick()
    assert len(decided("good")) == 1


def test_an_end_of_the_pause_that_cannot_be_read_ends_nothing(two, clock):
    controls.pause_all(reason="incident", by="ann")
    event_id = poison(
        stream="ledger", cron="", type="all_resumed", data={"effective_from": "infinity"}
    )
    clock.advance(MINUTE)
    two.tick()
    assert (decided("good"), skipped("good")) == ([], ["all_paused"])
    assert any(f"Event {event_id} of ledger" in problem for problem in health().problems)
    controls.resume_all(by="ann")  # says how it is now, whatever that event was
    clock.advance(MINUTE)
    two.tick()
    assert len(decided("good")) == 1


def test_a_time_of_the_pause_that_python_does_not_have_stops_nothing_but_the_crons(
    rows_of_before, two, clock
):
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO rqcron_event (stream, version, type, schema_version, cron, reason, actor, "
            "occurred_at, recorded_at, data) VALUES ('ledger', 1, 'all_paused', 1, '', '', '', "
            "'infinity', 'infinity', '{}')"
        )
    clock.advance(MINUTE)
    two.tick()
    assert (decided("good"), skipped("good")) == ([], ["all_paused"])


@pytest.mark.parametrize(
    "data", [{"retries_left": "many"}, {"spooled": ["a list"]}], ids=["retries", "spool"]
)
def test_what_only_a_reader_of_the_run_cannot_read_is_set_aside_and_named_too(
    deploy, add, clock, rows_of_before, data
):
    """A worker refuses to start such a run, so somebody has to be told."""
    add("report", schedule="* * * * *")
    runner = deploy()
    clock.advance(MINUTE)
    runner.tick()
    (run_id,) = runner.states.crons["report"].open_runs
    event_id = poison(f"run/{run_id}", "report", run_id=run_id, type="run_started", data=data)
    clock.advance(MINUTE)
    runner.tick()
    assert runner.states.run_is_set_aside(run_id)
    (problem,) = health().problems
    assert f"Event {event_id} of run/{run_id} cannot be read" in problem
    assert len(decided("report")) == 2, "the cron goes on"
