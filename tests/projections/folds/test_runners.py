"""What the row of a runner's session says."""

from __future__ import annotations

from datetime import timedelta

from rqcron_projections import projector
from rqcron_projections.folds import runners
from rqcron_projections.models import RunnerSession

from rqcron_events.core.events import Event, EventType, runner_stream
from rqcron_events.ledger import store
from rqcron_events.models import QuarantinedEvent
from tests.projections.histories import START


def said(kind: EventType, seconds: int, version: int, **data: object) -> Event:
    """Of the runner ``web-1``."""
    return Event(
        stream=runner_stream("web-1"),
        version=version,
        type=kind,
        actor="runner/web-2",
        occurred_at=START + timedelta(seconds=seconds),
        data=data,
    )


def test_a_runner_that_comes_back_begins_a_new_session() -> None:
    rows: dict[str, RunnerSession] = {}

    def write(kind: EventType, seconds: int, **data: object) -> None:
        for row in runners.apply(rows.get("web-1"), said(kind, seconds, 1, **data)):
            rows[row.session] = row

    write(EventType.RUNNER_STARTED, 0, host="web", pid=7, registry="abc", crons=3)
    heartbeat = (START + timedelta(seconds=50)).isoformat()
    write(EventType.RUNNER_LOST, 60, last_heartbeat=heartbeat)
    write(EventType.RUNNER_STARTED, 90, host="web", pid=7, registry="abc", crons=3)
    write(EventType.RUNNER_STOPPED, 100)
    write(EventType.RUNNER_LOST, 110)

    lost, last = rows["web-1#1"], rows["web-1"]
    assert (lost.ended, lost.ended_at, lost.noticed_by) == (
        "lost",
        START + timedelta(seconds=50),
        "runner/web-2",
    )
    assert (lost.host, lost.pid, lost.code, lost.crons) == ("web", 7, "abc", 3)
    assert (last.number, last.started_at, last.ended_at, last.ended) == (
        2,
        START + timedelta(seconds=90),
        START + timedelta(seconds=100),
        "stopped",
    )


def test_a_session_may_begin_again_in_a_later_page(db: None) -> None:
    """As after a freeze: the others have taken the runner for lost, and that is saved already."""

    def write(kind: EventType, seconds: int, **data: object) -> None:
        store.append_next([said(kind, seconds, 0, **data)])
        projector.catch_up()

    write(EventType.RUNNER_STARTED, 0, host="web", pid=7)
    write(EventType.RUNNER_LOST, 60)
    write(EventType.RUNNER_STARTED, 90, host="web", pid=8)
    write(EventType.RUNNER_STOPPED, 100)
    assert not QuarantinedEvent.objects.exists()
    sessions = RunnerSession.objects.order_by("number")
    assert list(sessions.values_list("session", "number", "pid", "ended")) == [
        ("web-1#1", 1, 7, "lost"),
        ("web-1", 2, 8, "stopped"),
    ]
