"""A run without incident stands for the four events that it was found in."""

from __future__ import annotations

from uuid import UUID

import pytest

from rqcron_events.core import codec
from rqcron_events.core.clean_run.run import CLEAN_TYPES, CleanRun, can_be_clean
from rqcron_events.core.events import EventType
from rqcron_events.core.run_state import RunState
from tests.unit.history import at

RUN = CleanRun(
    run_id=UUID(int=7),
    cron="alpha",
    first_id=11,
    last_id=19,
    slot=at("09:00"),
    decided_at=at("09:00:01"),
    runner="runner/one",
    lateness_seconds=1.0,
    queue="high",
    enqueued_at=at("09:00:02"),
    started_at=at("09:00:03"),
    worker="worker/a",
    finished_at=at("09:00:08"),
    duration_seconds=5.0,
)


def test_its_events_are_one_of_each_type_in_the_order_of_their_times():
    events = [RUN.decided(), *RUN.rest()]
    assert tuple(event.type for event in events) == CLEAN_TYPES
    times = [event.occurred_at for event in events]
    assert times == [at(f"09:00:0{second}") for second in (1, 2, 3, 8)]
    assert {(event.cron, event.run_id) for event in events} == {("alpha", UUID(int=7))}
    assert [event.id for event in events] == [11, None, None, 19]


def test_its_events_say_what_became_of_the_run():
    decided, enqueued, started, succeeded = RUN.decided(), *RUN.rest()
    assert (decided.stream, decided.scheduled_for) == ("cron/alpha", at("09:00"))
    assert (decided.actor, decided.data) == ("runner/one", {"lateness_seconds": 1.0})
    assert enqueued.data == {"queue": "high"}
    assert (started.attempt, started.actor) == (1, "worker/a")
    assert succeeded.data == {"duration_seconds": 5.0}
    state = RunState(RUN.run_id)
    assert {event.stream for event in RUN.rest()} == {state.stream}


@pytest.mark.parametrize("kind", list(EventType))
def test_a_type_whose_stored_shape_changed_is_read_event_by_event(kind, monkeypatch):
    assert can_be_clean()
    monkeypatch.setitem(codec.SCHEMA_VERSIONS, kind, 2)
    assert can_be_clean() is (kind not in CLEAN_TYPES)
