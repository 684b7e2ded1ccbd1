"""A log of a release that read expressions otherwise: ``05-5`` as the whole field, ``4-0`` as 1 to 4."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rqcron_events.core.definition import run_id_for_slot
from rqcron_events.core.events import Event, EventType, cron_stream, run_stream, runner_stream
from rqcron_events.core.schedule import READING
from rqcron_events.ledger import store
from rqcron_events.models import CronEvent
from rqcron_events.queries.audit import audit
from rqcron_events.queries.explain import explain
from rqcron_events.queries.health import health

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NEXT_DAY = MIDNIGHT + timedelta(days=1)
DECIDED = 10


def decided(name: str, expression: str, *, left_out: int | None = None) -> list[Event]:
    """Registered yesterday, and fired every minute after midnight, but for the one left out."""
    definition = {"name": name, "function": "shop:f", "expression": expression}
    registered = Event(
        stream=cron_stream(name),
        version=1,
        type=EventType.CRON_REGISTERED,
        cron=name,
        occurred_at=MIDNIGHT - MINUTE,
        data={"definition": definition, "definition_version": 1},
    )
    events = [registered]
    for version, number in enumerate((n for n in range(DECIDED) if n != left_out), 2):
        slot = MIDNIGHT + number * MINUTE
        run = run_id_for_slot(name, slot)
        place = {"cron": name, "scheduled_for": slot, "run_id": run, "occurred_at": slot}
        data = {"definition_version": 1, "lateness_seconds": 0.0}
        stream, fired = cron_stream(name), EventType.SLOT_FIRED
        events.append(Event(stream=stream, version=version, type=fired, data=data, **place))
        ends = (EventType.RUN_ENQUEUED, EventType.RUN_STARTED, EventType.RUN_SUCCEEDED)
        events += [
            Event(stream=run_stream(run), version=1 + at, type=kind, data={}, **place)
            for at, kind in enumerate(ends)
        ]
    return events


@pytest.fixture
def log(db, clock):
    """What the release before has written."""
    started = Event(
        stream=runner_stream("old"),
        version=1,
        type=EventType.RUNNER_STARTED,
        actor="runner/old",
        occurred_at=MIDNIGHT - timedelta(hours=1),
        data={"tzdata": "2026a", "croniter": "7.0.0"},
    )
    store.append(
        [
            started,
            *decided("reread", "05-5 0 * * *"),
            *decided("refused", "0-9 0 4-0 * *"),
            *decided("plain", "0-9 0 * * *", left_out=4),
        ]
    )


def fired(name: str, after: datetime) -> list[datetime]:
    rows = CronEvent.objects.for_cron(name).of_type("slot_fired").filter(scheduled_for__gt=after)
    return list(rows.order_by("id").values_list("scheduled_for", flat=True))


@pytest.fixture
def today(log, add, crons, deploy, clock):
    add("reread", schedule="05-5 0 * * *")
    add("plain", schedule="0-9 0 * * *")
    crons.add("refused", lambda: None, {"schedule": "0-9 0 4-0 * *"})
    runner = deploy()
    clock.set(NEXT_DAY + 7 * MINUTE)
    runner.tick()
    return runner


def test_from_now_on_it_fires_as_it_is_read_today(today):
    assert fired("reread", NEXT_DAY - MINUTE) == [NEXT_DAY + 5 * MINUTE]
    [_, started] = CronEvent.objects.of_type("runner_started").order_by("id").events()
    assert started.data["schedule_reading"] == READING == 2


def test_what_was_decided_under_the_other_reading_is_noted_and_not_wrong(today):
    [found] = audit("reread", until=NEXT_DAY).crons
    assert found.ok
    assert found.totals.fired == DECIDED
    [note] = found.notes
    assert note.endswith(
        "they were found with croniter 7.0.0, reading 1 of expressions; today reading 2 of expressions"
    )
    for minute in (3, 5):
        told = explain("reread", MIDNIGHT + minute * MINUTE)
        assert told.summary.startswith(f"reread fired for 2026-03-02 00:0{minute}:00 UTC")


def test_the_other_reading_is_no_excuse_where_an_expression_was_always_read_alike(today):
    [found] = audit("plain", until=NEXT_DAY).crons
    assert found.unaccounted == (MIDNIGHT + 4 * MINUTE,)
    assert found.notes == ()


def test_a_definition_that_is_refused_today_keeps_its_past_and_stops_nobody(today, crons):
    assert fired("refused", NEXT_DAY - MINUTE) == []
    assert fired("plain", NEXT_DAY - MINUTE) == [NEXT_DAY + 7 * MINUTE]
    [found] = audit("refused", until=NEXT_DAY).crons
    assert (found.totals.fired, found.unaccounted) == (DECIDED, ())
    assert "day of month must be 1-31, got 0" in found.notes[0]
    told = explain("refused", MIDNIGHT + 3 * MINUTE)
    assert told.summary.startswith("refused fired for 2026-03-02 00:03:00 UTC")
    assert "day of month must be 1-31, got 0" in crons.problems["refused"][0]
    assert any(
        "cannot be decided: schedule '0-9 0 4-0 * *' is invalid: day of month" in text
        for text in health().problems
    )


def test_it_goes_on_once_the_code_has_a_schedule_that_can_be_read(today, crons, add, deploy, clock):
    crons.problems.clear()
    add("refused", schedule="0-9 0 1-4 * *")
    runner = deploy()
    clock.set(NEXT_DAY + 9 * MINUTE)
    runner.tick()
    assert fired("refused", NEXT_DAY)[-1] == NEXT_DAY + 9 * MINUTE
    assert not health().problems
    assert explain("refused", MIDNIGHT + 3 * MINUTE).verdict == "fired"
