"""After an archive, every question about the past has the answer that it had before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from rqcron_events import explain
from rqcron_events.core.events import Event, EventType
from rqcron_events.errors import SegmentUnavailable
from rqcron_events.ledger import store
from rqcron_events.ledger.backend import backend_of
from rqcron_events.models import CronEvent, CronSegment
from rqcron_events.operations.backfill import plan_backfill
from rqcron_events.operations.rewind import rewind
from rqcron_events.queries.audit import audit
from rqcron_events.queries.explain import explain_run
from rqcron_events.testing import FakeClock
from tests.archiving import archive, forget_files, unreachable
from tests.sealing import history
from tests.unit.history import NAME, History, at

NOW = at("13:00")
MINUTE = timedelta(minutes=1)


def runner(name: str, version: int, kind: EventType, when: str) -> Event:
    return Event(stream=f"runner/{name}", version=version, type=kind, occurred_at=at(when))


def done(history: History, slot: str, start: str, end: str) -> None:
    history.run(EventType.RUN_ENQUEUED, at(slot), at(start), data={"queue": "default"})
    history.run(EventType.RUN_STARTED, at(slot), at(start), attempt=1)
    history.run(EventType.RUN_SUCCEEDED, at(slot), at(end), attempt=1)


def story(overlap: str) -> list[Event]:
    """All kinds of decisions, two runners, and a time without any."""
    history = History()
    history.register(at("08:55"), overlap=overlap)
    for minute in range(9 * 60, 12 * 60 + 50, 10):
        now = at(f"{minute // 60:02}:{minute % 60:02}:01")
        if "10:30" <= f"{now:%H:%M}" < "11:05":
            continue
        if f"{now:%H:%M}" == "09:50":
            history.pause(at("09:41"), reason="freeze")
        if f"{now:%H:%M}" == "10:10":
            history.resume(at("10:05"))
        if f"{now:%H:%M}" == "11:20":
            history.pause_all(at("11:15"), reason="all")
        if f"{now:%H:%M}" == "11:40":
            history.resume_all(at("11:35"))
        if f"{now:%H:%M}" == "12:10":
            history.register(at("12:05"), overlap=overlap, schedule="*/5 * * * *")
        history.decide(now)
        for event in [item for item in history.events if item.type is EventType.SLOT_FIRED]:
            slot = f"{event.scheduled_for:%H:%M}"
            long = slot in ("09:10", "12:00")
            end = event.occurred_at + (24 if long else 1) * MINUTE
            written = sum(item.run_id == event.run_id for item in history.events) > 1
            if not written and end <= now + MINUTE:
                start = f"{event.occurred_at:%H:%M:%S}"
                done(history, slot, start, f"{end:%H:%M:%S}")
    events = [
        runner("one", 1, EventType.RUNNER_STARTED, "08:50"),
        *history.events,
        runner("one", 2, EventType.RUNNER_STOPPED, "10:22"),
        runner("two", 1, EventType.RUNNER_STARTED, "11:06"),
    ]
    return sorted(events, key=lambda event: event.occurred_at)


def slots() -> list[datetime]:
    return [at("08:50") + 5 * number * MINUTE for number in range(50)]


def answers() -> dict[str, Any]:
    """To everything that one can ask."""
    with FakeClock(NOW):
        found = {str(slot): explain(NAME, slot).to_data() for slot in slots()}
        found["newest"] = explain(NAME).to_data()
        for label in ("", "again"):
            plan = plan_backfill(NAME, at("09:00"), at("12:30"), again=label)
            found[f"backfill {label}"] = plan.slots
        for since in (None, at("09:00"), at("10:00"), at("11:10"), at("12:40")):
            for until in (None, at("09:55"), at("12:00")):
                for name in (None, NAME):
                    if not (since and until and since >= until):
                        asked = f"audit {name} {since} {until}"
                        found[asked] = audit(name, since=since, until=until).to_data()
    return found


def asked_runs(runs: list[Any]) -> dict[str, Any]:
    with FakeClock(NOW):
        return {str(run): explain_run(run).to_data() for run in runs}


@pytest.fixture(params=["allow", "skip", "queue"])
def log(request: pytest.FixtureRequest) -> list[Event]:
    events = story(request.param)
    for event in events:
        store.append([event])
    return events


@pytest.mark.parametrize("cuts", [[20], [9, 9, 9, 9]], ids=["one segment", "several"])
def test_explanations_and_audits_are_the_same(log: list[Event], cuts: list[int]):
    asked = CronEvent.objects.of_type("slot_fired").values_list("run_id", flat=True)
    runs = list(asked.order_by("id"))
    before, told = answers(), asked_runs(runs)
    events = CronEvent.objects.count()
    for size in cuts:
        archive(size)
    assert CronEvent.objects.count() < events - 5
    after = answers()
    differ = {key: (before[key], after[key]) for key in before if before[key] != after[key]}
    assert differ == {}
    assert asked_runs(runs) == told


def test_what_is_out_of_reach_is_named_and_the_rest_is_answered(log: list[Event], directory: Path):
    asked = CronEvent.objects.of_type("slot_fired").order_by("id")
    run, newest = asked.first().run_id, asked.last().run_id
    archive(36)
    with FakeClock(NOW):
        before = audit(since=at("12:00")).to_data()
        told = [explain(NAME, at("12:30")).to_data(), explain(NAME).to_data()]
    unreachable(directory)
    forget_files()
    path = CronSegment.objects.get().path
    with FakeClock(NOW):
        for ask in (
            lambda: explain(NAME, at("09:00")),
            lambda: explain_run(run),
            audit,
            lambda: audit(NAME, until=at("10:00")),
            lambda: plan_backfill(NAME, at("09:00"), at("12:30")),
        ):
            with pytest.raises(SegmentUnavailable, match=path):
                ask()
        assert audit(since=at("12:00")).to_data() == before
        assert audit(since=at("12:00")).ok
        assert [explain(NAME, at("12:30")).to_data(), explain(NAME).to_data()] == told
        assert explain_run(newest).verdict == "fired"
        assert plan_backfill(NAME, at("12:00"), at("12:30")).slots


def test_a_question_behind_the_archive_costs_no_statement_more(log: list[Event]):
    def statements() -> list[int]:
        counts = []
        for ask in (
            lambda: explain(NAME, at("12:30")),
            lambda: explain(NAME, at("12:32")),
            lambda: explain(NAME),
            lambda: audit(since=at("12:00")),
            lambda: audit(NAME, since=at("12:00")),
        ):
            with FakeClock(NOW), CaptureQueriesContext(connection) as queries:
                ask()
            counts.append(len(queries))
            nothing_more = [
                query["sql"]
                for query in queries
                if "rqcron_segment" in query["sql"] and "rqcron_event" not in query["sql"]
            ]
            assert nothing_more == []
        return counts

    before = statements()
    archive(36)
    after = statements()
    assert all(one <= other for one, other in zip(after, before, strict=True))


def test_a_decision_that_is_gone_is_missed_though_there_is_an_archive(log: list[Event]):
    archive(20)
    gone = CronEvent.objects.decisions().order_by("-id")[2]
    backend_of(connection).set_append_only(connection, False)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM rqcron_event WHERE id = %s", [gone.id])
    with FakeClock(NOW):
        found = audit()
    assert not found.ok
    assert found.totals.findings >= 1


def test_a_slot_that_is_lost_behind_the_archive_is_told_though_segments_are_out_of_reach(
    log: list[Event], directory: Path
):
    archive(36)
    unreachable(directory)
    forget_files()
    gone = (
        CronEvent.objects.decisions().filter(scheduled_for__gt=at("12:00")).order_by("id").first()
    )
    backend_of(connection).set_append_only(connection, False)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM rqcron_event WHERE id = %s", [gone.id])
    with FakeClock(NOW):
        assert explain(NAME, gone.scheduled_for).reason == "unaccounted"


def test_what_fired_ahead_of_its_time_and_is_archived_does_not_fire_again_after_a_rewind():
    now = datetime.now(UTC).replace(microsecond=0)
    slots = [now + number * timedelta(days=1) for number in (1, 2)]
    place = {"cron": "ahead", "actor": "runner/r"}
    registered = {
        "definition": {"name": "ahead", "function": "x:y", "expression": "* * * * *"},
        "definition_version": 1,
    }
    events = [
        Event(stream="cron/ahead", version=1, type=EventType.CRON_REGISTERED,
              occurred_at=now - MINUTE, data=registered, **place)
    ]  # fmt: skip
    for version, slot in enumerate(slots, start=2):  # by a clock that is days ahead
        run = UUID(int=version)
        of_run = {**place, "run_id": run, "scheduled_for": slot, "occurred_at": slot}
        events += [
            Event(stream="cron/ahead", version=version, type=EventType.SLOT_FIRED,
                  data={"lateness_seconds": 0, "definition_version": 1}, **of_run),
            Event(stream=f"run/{run}", version=1, type=EventType.RUN_STARTED, attempt=1, **of_run),
            Event(stream=f"run/{run}", version=2, type=EventType.RUN_SUCCEEDED, attempt=1, **of_run),
        ]  # fmt: skip
    for event in events:
        store.append([event])
    history("other", runs=2)

    def taken_back() -> Any:
        with transaction.atomic():
            rewind("ahead")
            found = CronEvent.objects.of_type("cron_rewound").get().data["kept"]
            transaction.set_rollback(True)
        return found

    before = taken_back()
    archive(8)
    assert not CronEvent.objects.of_type("slot_fired").filter(scheduled_for=slots[0]).exists()
    assert taken_back() == before
    assert len(before) > 0
