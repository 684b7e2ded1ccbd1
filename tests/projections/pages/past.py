"""A past to look at: what a runner, workers and people left in the log, event by event, with the
times that a test gives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from rqcron_projections.projector import catch_up

from rqcron_events.core.definition import Definition, run_id_for_slot
from rqcron_events.core.events import (
    LEDGER_STREAM,
    Event,
    EventType,
    cron_stream,
    run_stream,
    runner_stream,
)
from rqcron_events.ledger import store
from rqcron_events.ledger.backend import backend_of
from rqcron_events.ledger.doors.words import apart

START = datetime(2026, 3, 2, tzinfo=UTC)
"""A Monday."""
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


class Past:
    """Collects events; :meth:`write` appends them and brings the projections up to date."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.versions: dict[str, int] = {}
        self.definitions: dict[str, Definition] = {}
        self.definition_versions: dict[str, int] = {}

    def add(self, stream: str, kind: EventType, at: datetime, **values: Any) -> None:
        self.versions[stream] = self.versions.get(stream, 0) + 1
        event = Event(
            stream=stream, version=self.versions[stream], type=kind, occurred_at=at, **values
        )
        self.events.append(event)

    def own(self, cron: str, kind: EventType, at: datetime, **values: Any) -> None:
        self.add(cron_stream(cron), kind, at, cron=cron, **values)

    def define(
        self, cron: str, at: datetime = START, actor: str = "runner/web-1", **options: Any
    ) -> Definition:
        """Register the cron, or change it."""
        if not {"expression", "every_seconds"} & options.keys():
            options["expression"] = "0 * * * *"
        new = Definition(name=cron, function=f"shop.crons:{cron}", **options)
        old = self.definitions.get(cron)
        version = self.definition_versions[cron] = self.definition_versions.get(cron, 0) + 1
        data = {
            "definition": new.to_data(),
            "definition_version": version,
            "effective_from": at.isoformat(),
        }
        if old is not None:
            data["changes"] = old.changes_to(new)
        self.definitions[cron] = new
        kind = EventType.CRON_CHANGED if old else EventType.CRON_REGISTERED
        self.own(cron, kind, at, actor=actor, data=data)
        return new

    def fire(
        self,
        cron: str,
        slot: datetime,
        *,
        late: float = 0.1,
        ends: EventType | None = EventType.RUN_SUCCEEDED,
        took: float = 1.0,
        error: str = "order was refused",
        started: bool = True,
    ) -> UUID:
        """A slot that fired, and its run."""
        run_id, at = run_id_for_slot(cron, slot), slot + timedelta(seconds=late)
        version = self.definition_versions.get(cron, 1)
        data: dict[str, Any] = {"lateness_seconds": late, "definition_version": version}
        self.own(
            cron, EventType.SLOT_FIRED, at, run_id=run_id, scheduled_for=slot, actor="runner/web-1",
            data=data,
        )  # fmt: skip
        stream, common = run_stream(run_id), {"cron": cron, "run_id": run_id, "scheduled_for": slot}
        queued = {"queue": "default", "job_id": f"cron-{run_id}"}
        self.add(stream, EventType.RUN_ENQUEUED, at, actor="runner/web-1", data=queued, **common)
        if not started:
            return run_id
        worker = {"actor": "worker/w1", "attempt": 1}
        begun = at + timedelta(seconds=0.2)
        self.add(stream, EventType.RUN_STARTED, begun, **worker, **common)
        if ends is not None:
            data = {"duration_seconds": took}
            if ends is EventType.RUN_FAILED:
                data["error"] = {"type": "ValueError", "message": error, "traceback": "Traceback"}
            end = begun + timedelta(seconds=took)
            self.add(stream, ends, end, data=data, **worker, **common)
        return run_id

    def fire_between(self, cron: str, since: datetime, until: datetime, **options: Any) -> None:
        """Each slot with ``since < slot <= until``."""
        slot = self.definitions[cron].schedule.next_after(since)
        while slot is not None and slot <= until:
            self.fire(cron, slot, **options)
            slot = self.definitions[cron].schedule.next_after(slot)

    def pass_over(
        self,
        cron: str,
        kind: EventType,
        reason: str,
        first: datetime,
        last: datetime | None = None,
        slots: int = 1,
        at: datetime | None = None,
        **evidence: Any,
    ) -> None:
        """Slots that were skipped or missed, as one event."""
        last = last or first
        data = {"first": first.isoformat(), "last": last.isoformat(), "count": slots}
        data["definition_version"] = self.definition_versions.get(cron, 1)
        self.own(
            cron, kind, at or last, scheduled_for=last, reason=reason, actor="runner/web-1",
            data={**data, "evidence": evidence},
        )  # fmt: skip

    def pause(
        self, cron: str, at: datetime, *, until: datetime | None = None, reason: str = "", by="ada"
    ) -> None:
        data = {"until": until.isoformat() if until else None, "effective_from": at.isoformat()}
        self.own(cron, EventType.CRON_PAUSED, at, actor=by, reason=reason, data=data)

    def resume(self, cron: str, at: datetime, by: str = "ada") -> None:
        data = {"effective_from": at.isoformat()}
        self.own(cron, EventType.CRON_RESUMED, at, actor=by, data=data)

    def pause_all(self, at: datetime, *, reason: str = "", by: str = "ada") -> None:
        data = {"until": None, "effective_from": at.isoformat()}
        self.add(LEDGER_STREAM, EventType.ALL_PAUSED, at, actor=by, reason=reason, data=data)

    def runner(
        self,
        name: str,
        start: datetime,
        end: datetime | None = None,
        *,
        lost: bool = False,
        code="",
    ) -> None:
        stream = runner_stream(name)
        data: dict[str, Any] = {"host": "web", "pid": 1, "version": "0.1.0", "registry": code}
        self.add(stream, EventType.RUNNER_STARTED, start, actor=f"runner/{name}", data=data)
        if end is not None and lost:
            data = {"last_heartbeat": end.isoformat()}
            self.add(stream, EventType.RUNNER_LOST, end + MINUTE, actor="runner/x", data=data)
        elif end is not None:
            self.add(stream, EventType.RUNNER_STOPPED, end, actor=f"runner/{name}")

    def write(self) -> None:
        """Append what was added since, in the order of its times, and fold it."""
        events = sorted(self.events, key=lambda event: event.occurred_at)
        self.events = []
        db = store.connection()
        with transaction.atomic(using=db.alias):
            for start in range(0, len(events), 5_000):
                facts, texts = apart(events[start : start + 5_000])
                backend_of(db).insert(db, facts, {})
                backend_of(db).insert_texts(db, texts)
        catch_up()
