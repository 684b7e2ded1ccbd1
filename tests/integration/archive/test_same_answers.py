"""After an archive, every question about the past has the answer that it had before."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from rqcron_events import explain
from rqcron_events.core.events import Event, EventType
from rqcron_events.ledger import store
from rqcron_events.models import CronEvent
from rqcron_events.queries.audit import audit
from rqcron_events.queries.explain import explain_run
from rqcron_events.testing import FakeClock
from tests.archiving import archive
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


def test_a_decision_that_is_gone_is_missed_though_there_is_an_archive(log: list[Event]):
    archive(20)
    from rqcron_events.ledger.backend import backend_of

    gone = CronEvent.objects.decisions().order_by("-id")[2]
    backend_of(connection).set_append_only(connection, False)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM rqcron_event WHERE id = %s", [gone.id])
    with FakeClock(NOW):
        found = audit()
    assert not found.ok
    assert found.totals.findings >= 1
