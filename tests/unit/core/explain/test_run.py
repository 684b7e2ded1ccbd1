"""The chain of a run."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from rqcron_events.core.events import Event, EventType
from rqcron_events.core.explain.run import steps
from tests.unit.history import at


def test_the_steps_of_a_run_carry_the_times_between_them():
    run_id = UUID(int=1)
    slot = at("09:00")

    def event(kind: EventType, seconds: float, **fields) -> Event:
        fields.setdefault("actor", "worker/one")
        moment = slot + timedelta(seconds=seconds)
        return Event(
            stream=f"run/{run_id}",
            version=1,
            type=kind,
            occurred_at=moment,
            run_id=run_id,
            **fields,
        )

    origin = event(EventType.SLOT_FIRED, 0.5, scheduled_for=slot, actor="runner/one")
    error = {"type": "ValueError", "message": "no " * 100}
    story = steps(
        origin,
        [
            event(EventType.RUN_ENQUEUED, 0.75, data={"queue": "high"}),
            event(EventType.RUN_STARTED, 2, attempt=1),
            event(EventType.ATTEMPT_FAILED, 3, attempt=1, data={"error": error, "retries_left": 1}),
            event(EventType.RUN_STARTED, 13, attempt=2),
            event(EventType.RUN_SUCCEEDED, 14),
        ],
    )
    assert [(step.name, step.seconds) for step in story] == [
        ("slot", None),
        ("decided", 0.5),
        ("enqueued", 0.25),
        ("started", 1.25),
        ("attempt_failed", 1.0),
        ("started", 10.0),
        ("succeeded", 1.0),
    ]
    assert story[1].detail == "by runner/one"
    assert story[3].detail == "attempt 1 on worker/one"
    assert story[4].detail.startswith("attempt 1: ValueError: no no")
    assert len(story[4].detail) < 180
