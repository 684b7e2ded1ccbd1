"""Valid histories of several crons: what a runner, workers and people may append, in any order
that the real ones could produce."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

from django.db import transaction

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

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@dataclass
class Run:
    run_id: UUID
    cron: str
    to_come: list[tuple[EventType, dict]]
    """What will still be written, in order; the note of the runner may slip behind others."""


@dataclass
class History:
    """Writes events with the right versions, a second apart."""

    seed: int
    crons: int = 3
    now: datetime = START
    events: list[Event] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.names = [f"cron_{self.seed}_{index}" for index in range(self.crons)]
        self.definitions: dict[str, Definition] = {}
        self.definition_versions: dict[str, int] = {}
        self.watermarks: dict[str, datetime] = {}
        self.open: list[Run] = []
        # All histories of a log share this stream, so each has versions of its own there; as many as
        # the column takes.
        self.versions.setdefault(LEDGER_STREAM, self.seed % 200_000 * 10_000)

    def write(self, stream: str, kind: EventType, **values) -> None:
        self.now += SECOND
        self.versions[stream] = self.versions.get(stream, 0) + 1
        self.events.append(
            Event(
                stream=stream,
                version=self.versions[stream],
                type=kind,
                occurred_at=self.now,
                **values,
            )
        )

    def own(self, name: str, kind: EventType, **values) -> None:
        self.write(cron_stream(name), kind, cron=name, **values)

    def step(self) -> None:
        """One thing happens."""
        name = self.random.choice(self.names)
        if name not in self.definitions:
            self.define(name)
            return
        action = self.random.choices(
            [self.fire, self.pass_over, self.request, self.define, self.retire, self.pause,
             self.resume, self.everything, self.runner, self.succeed, self.advance],
            [20, 6, 6, 2, 1, 3, 3, 1, 8, 6, 44],
        )[0]  # fmt: skip
        action(name)

    def define(self, name: str) -> None:
        version = self.definition_versions[name] = self.definition_versions.get(name, 0) + 1
        every = self.random.choice([None, 60, 900])
        definition = Definition(
            name=name,
            function="shop.crons:" + name,
            expression=None if every else self.random.choice(["* * * * *", "0 9 * * 1-5"]),
            every_seconds=every,
            timezone=self.random.choice(["UTC", "America/New_York", "Asia/Kathmandu"]),
            disabled=self.random.choice(["", "", "enabled=False"]),
            description=self.random.choice(["", "Sends the digest, \u00e9l\u00e9gamment"]),
            options={"timeout": 60, "meta": {"b": 1.5, "a": None}},
        )
        known = name in self.definitions
        self.definitions[name] = definition
        self.watermarks[name] = self.now  # a definition covers the slots after it, none before
        self.own(
            name,
            EventType.CRON_CHANGED if known else EventType.CRON_REGISTERED,
            actor="runner/1",
            data={
                "definition": definition.to_data(),
                "definition_version": version,
                "effective_from": self.now.isoformat(),
            },
        )

    def retire(self, name: str) -> None:
        del self.definitions[name]
        self.own(name, EventType.CRON_RETIRED, data={"effective_from": self.now.isoformat()})

    def next_slots(self, name: str, count: int) -> tuple[datetime, datetime]:
        first = last = self.definitions[name].schedule.next_after(self.watermarks[name])
        for _ in range(count - 1):
            last = self.definitions[name].schedule.next_after(last)
        self.watermarks[name] = last
        self.now = max(self.now, last)
        return first, last

    def fire(self, name: str) -> None:
        slot, _ = self.next_slots(name, 1)
        run_id = run_id_for_slot(name, slot)
        data = {"lateness_seconds": self.random.random(), "definition_version": 1}
        self.own(
            name,
            EventType.SLOT_FIRED,
            run_id=run_id,
            scheduled_for=slot,
            actor="runner/1",
            data=data,
        )
        self.begin(name, run_id)

    def succeed(self, name: str) -> None:
        """A stretch of runs without incident; nothing else happens meanwhile."""
        for _ in range(self.random.choice([1, 2, 5])):
            self.fire(name)
            run = self.open.pop()
            steps = [
                self.enqueued(),
                (EventType.RUN_STARTED, {"attempt": 1, "actor": "worker/1"}),
                (
                    EventType.RUN_SUCCEEDED,
                    {"attempt": 1, "data": {"duration_seconds": self.random.random() * 100}},
                ),
            ]
            if self.random.random() < 0.3:
                steps[0], steps[1] = steps[1], steps[0]
            for kind, values in steps:
                self.write(run_stream(run.run_id), kind, cron=name, run_id=run.run_id, **values)

    def pass_over(self, name: str) -> None:
        count = self.random.choice([1, 2, 3, 5, 5, 300])
        first, last = self.next_slots(name, count)
        kind, reason = self.random.choice(
            [
                (EventType.SLOT_SKIPPED, "paused"),
                (EventType.SLOT_SKIPPED, "disabled"),
                (EventType.SLOT_MISSED, "too_late"),
            ]
        )
        data = {"first": first.isoformat(), "last": last.isoformat(), "count": count}
        self.own(
            name, kind, scheduled_for=last, reason=reason, data={**data, "evidence": {"a": None}}
        )

    def request(self, name: str) -> None:
        run_id = UUID(int=self.random.getrandbits(128), version=4)
        trigger = self.random.choice(["manual", "rerun", "backfill", "requeue"])
        self.own(
            name,
            EventType.RUN_REQUESTED,
            run_id=run_id,
            reason="because I want to",
            actor="ada",
            data={"trigger": trigger},
        )
        self.begin(name, run_id)

    def pause(self, name: str) -> None:
        until = self.random.choice([None, self.now + timedelta(minutes=10)])
        self.own(
            name,
            EventType.CRON_PAUSED,
            reason="maintenance",
            actor="ada",
            data={
                "until": until.isoformat() if until else None,
                "effective_from": self.now.isoformat(),
            },
        )

    def resume(self, name: str) -> None:
        data = {"effective_from": self.now.isoformat()}
        self.own(name, EventType.CRON_RESUMED, actor="bob", data=data)

    def everything(self, name: str) -> None:
        kind = self.random.choice([EventType.ALL_PAUSED, EventType.ALL_RESUMED])
        self.write(LEDGER_STREAM, kind, actor="ada")

    def runner(self, name: str) -> None:
        runner = runner_stream(f"{self.seed}-{self.random.randint(1, 2)}")
        kind = self.random.choice(
            [EventType.RUNNER_STARTED, EventType.RUNNER_STOPPED, EventType.RUNNER_LOST]
        )
        data = {"last_heartbeat": self.now.isoformat()} if kind is EventType.RUNNER_LOST else {}
        self.write(runner, kind, data=data)

    def begin(self, name: str, run_id: UUID) -> None:
        steps = [self.enqueued()]
        if self.random.random() < 0.1:
            steps.insert(0, (EventType.ENQUEUE_FAILED, {"data": {"error": self.error()}}))
        attempts = self.random.choice([1, 1, 1, 2, 3])
        for attempt in range(1, attempts + 1):
            started = {"attempt": attempt, "actor": f"worker/{attempt}"}
            steps.append((EventType.RUN_STARTED, {**started, "data": {"retries_left": 3}}))
            if attempt < attempts:
                failed = {"error": self.error(), "retries_left": 3, "duration_seconds": 0.25}
                steps.append(
                    (
                        EventType.ATTEMPT_FAILED,
                        {"attempt": attempt, "reason": "timeout", "data": failed},
                    )
                )
        steps.append(self.outcome(attempts))
        if self.random.random() < 0.1:
            steps.append((EventType.START_REFUSED, {"reason": "already_succeeded"}))
        if self.random.random() < 0.4:  # the workers were faster than the runner's note
            late = steps.pop(0)
            steps.insert(self.random.randint(0, len(steps)), late)
        self.open.append(Run(run_id, name, steps))

    def enqueued(self) -> tuple[EventType, dict]:
        return EventType.RUN_ENQUEUED, {
            "data": {"queue": "high", "job_id": f"cron-{self.random.getrandbits(64)}"}
        }

    def outcome(self, attempt: int) -> tuple[EventType, dict]:
        duration = {"duration_seconds": round(self.random.random(), 6)}
        return self.random.choice(
            [
                (EventType.RUN_SUCCEEDED, {"attempt": attempt, "data": {**duration, "result": 1}}),
                (EventType.RUN_SUCCEEDED, {"attempt": attempt, "data": duration}),
                (
                    EventType.RUN_FAILED,
                    {
                        "attempt": attempt,
                        "reason": "exception",
                        "data": {**duration, "error": self.error()},
                    },
                ),
                (EventType.RUN_FAILED, {"attempt": attempt, "reason": "worker_killed"}),
                (EventType.RUN_DECLINED, {"reason": "nothing new", "data": duration}),
                (EventType.RUN_STOPPED, {"reason": "stopped"}),
                (EventType.RUN_CANCELLED, {"reason": "cancelled"}),
                (EventType.RUN_LOST, {"reason": "Redis was emptied"}),
            ]
        )

    def error(self) -> dict[str, str]:
        kind = self.random.choice(["ValueError", "shop.NoStock"])
        start = f"order {self.random.randint(1, 9)}: "
        return {"type": kind, "message": start + "no \u20ac in " * 200, "traceback": "..."}

    def advance(self, name: str) -> None:
        if not self.open:
            return
        # Some runs are over within a few events, others drag on.
        run = self.open[-1] if self.random.random() < 0.5 else self.random.choice(self.open)
        kind, values = run.to_come.pop(0)
        self.write(run_stream(run.run_id), kind, cron=run.cron, run_id=run.run_id, **values)
        if not run.to_come:
            self.open.remove(run)


def history(seed: int, steps: int, crons: int = 3) -> list[Event]:
    """The same seed gives the same history."""
    written = History(seed=seed, crons=crons)
    for _ in range(steps):
        written.step()
    return written.events


def append(events: list[Event]) -> None:
    """Past the store: in the ledger's stream, which the histories share, each begins behind a gap."""
    db = store.connection()
    facts, texts = apart(events)
    with transaction.atomic(using=db.alias):
        assert backend_of(db).insert(db, facts, {}) == len(events)
        backend_of(db).insert_texts(db, texts)
