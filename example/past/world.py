"""What a runner and workers would have written, as fast as they can be told."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from random import Random
from uuid import UUID

from django.db import connection

from past.work import Work, error, seconds
from rqcron_events import clock
from rqcron_events.core.cron_state import CronState
from rqcron_events.core.decide import Limits, decide, next_due
from rqcron_events.core.events import Event, EventType, make
from rqcron_events.core.events.make import InRun
from rqcron_events.core.schedule import READING
from rqcron_events.leadership.code_version import fingerprint
from rqcron_events.leadership.slot_rules import croniter_version, tz_data_version
from rqcron_events.ledger import store
from rqcron_events.ledger.cron_states import States
from rqcron_events.registry import Registered, Registry, registry
from rqcron_events.runner.registration import sync
from rqcron_events.testing import FakeClock

__all__ = ["World"]

MODULE = "sites.crons.night"
WORKERS = 3
LIMITS = Limits()
RETRY_AFTER = timedelta(seconds=30)
LAST_END = timedelta(seconds=20)
"""Before the demo begins: nothing is left at work then, because no job of the past is in Redis."""


@dataclass
class World:
    """A runner, three workers, and a clock that is set."""

    start: datetime
    until: datetime
    bad_deploy: datetime
    """When ``rank_sites`` begins to fail."""
    random: Random = field(default_factory=lambda: Random(19))
    states: States = field(default_factory=States)
    runner: str = ""
    """Id of the one that is alive."""
    starts: int = 0
    """How many runners there were."""
    due: dict[str, datetime] = field(default_factory=dict)
    """When each cron is due next."""
    to_come: list[tuple[datetime, int, Callable[[], None]]] = field(default_factory=list)
    """What workers will do, soonest first."""
    busy_until: list[datetime] = field(default_factory=list)
    """Of each worker."""
    versions: dict[UUID, int] = field(default_factory=dict)
    """Of each run's stream."""
    unwritten: list[Event] = field(default_factory=list)
    recorded: Iterator[datetime] = field(default_factory=lambda: iter(()))
    """For the events that are just being written."""

    def __post_init__(self) -> None:
        self.order = count()
        self.busy_until = [self.start] * WORKERS

    # Time

    def pass_time(self, until: datetime) -> None:
        """Let slots come due, and workers work."""
        while True:
            due = self.next_due()
            step = self.to_come[0][0] if self.to_come else None
            at = min((instant for instant in (due, step) if instant), default=None)
            if at is None or at >= until:
                break
            at = max(at, self.clock.now)  # after an outage, what is due is so for hours
            self.clock.set(at)
            if step is not None and step <= at:
                heapq.heappop(self.to_come)[2]()
            else:
                self.decide(at + timedelta(milliseconds=self.random.randint(20, 400)))
        self.flush()
        self.clock.set(until)

    @contextmanager
    def recording(self, fake: FakeClock) -> Iterator[None]:
        """Let SQLite's clock, which writes ``recorded_at``, show when an event occurred."""

        def strftime(_format: str, *_when: str) -> str:
            return f"{next(self.recorded, clock.now()):%Y-%m-%d %H:%M:%S.%f}"[:-3]

        self.clock = fake
        connection.ensure_connection()
        assert connection.vendor == "sqlite", "Only the demo's own database gets a past."
        connection.connection.create_function("strftime", -1, strftime)
        try:
            yield
        finally:
            connection.close()  # the next one has SQLite's own function again

    def next_due(self) -> datetime | None:
        return min(self.due.values(), default=None) if self.runner else None

    def look_again(self, names: Iterable[str]) -> None:
        """When is what due? Only a decision or a definition changes that."""
        for name in names:
            state = self.states.crons[name]
            due = next_due(state) if state.definition else None
            if due is not None:
                self.due[name] = due
            else:
                self.due.pop(name, None)

    def later(self, at: datetime, step: Callable[[], None]) -> None:
        heapq.heappush(self.to_come, (at, next(self.order), step))

    # The runner

    def decide(self, now: datetime) -> None:
        """All that is due, as ``Runner`` does."""
        self.clock.set(now)
        names = [name for name, due in self.due.items() if due <= now]
        for name in names:
            state = self.states.crons[name]
            events = decide(
                state, now, all_paused=self.states.all_paused, limits=LIMITS, actor=self.actor
            ).events
            self.append(events)
            for event in events:
                if event.type is EventType.SLOT_FIRED:
                    self.enqueue(state, event)
        self.look_again(names)

    def append(self, events: list[Event]) -> None:
        self.states.apply(events)
        self.unwritten += events

    def reload(self, name: str) -> None:
        """Somebody else wrote about this cron."""
        self.states.reload(name)
        self.look_again([name])

    def flush(self) -> None:
        """Thousands of events one by one would take the demo's first ten seconds."""
        self.recorded = iter([event.occurred_at for event in self.unwritten])
        store.append(self.unwritten)
        self.unwritten.clear()

    @property
    def actor(self) -> str:
        return f"runner/{self.runner}"

    def deploy(self, schedules: dict[str, str]) -> None:
        """The code as it is, but for these schedules; a name that it has not is a cron of then."""
        self.stop()
        code = Registry(discovered=True)
        for name, cron in registry.crons.items():
            if cron.definition.function.startswith(MODULE):
                code.crons[name] = cron
        for name, expression in schedules.items():
            like = code.crons.get(name) or code.crons["rank_sites"]
            definition = replace(
                like.definition,
                name=name,
                expression=expression,
                function=f"{MODULE}:{name}",
                description=like.definition.description if name in code.crons else "Reads a feed",
            )
            code.crons[name] = Registered(definition=definition, function=like.function)
        self.code = code
        self.begin()
        sync(code, self.states, self.actor)
        self.look_again(self.states.crons)

    def begin(self) -> None:
        self.starts += 1
        self.runner = f"web-1-{4000 + 731 * self.starts}-{self.random.getrandbits(24):06x}"
        started = make.runner_started(
            runner_id=self.runner,
            host="web-1",
            pid=4000 + 731 * self.starts,
            crons=len(self.code.crons),
            registry=fingerprint(self.code),
            tzdata=tz_data_version(),
            croniter=croniter_version(),
            schedule_reading=READING,
            database_skew_seconds=0.001,
            actor=self.actor,
            at=clock.now(),
        )
        store.append_next([started])

    def stop(self) -> None:
        if self.runner:
            store.append_next(
                [make.runner_stopped(runner_id=self.runner, actor=self.actor, at=clock.now())]
            )
            self.runner = ""

    def fall_silent(self) -> None:
        """The machine goes down, with its workers and what they were doing."""
        self.lost, self.lost_at = self.runner, clock.now()
        self.runner = ""
        self.to_come.clear()

    def come_back(self) -> None:
        """Another runner notices, closes what was left open, and catches up."""
        self.busy_until = [clock.now()] * WORKERS
        self.begin()
        lost = make.runner_lost(
            runner_id=self.lost, last_heartbeat=self.lost_at, actor=self.actor, at=clock.now()
        )
        store.append_next([lost])
        for state in list(self.states.crons.values()):
            for run in list(state.open_runs.values()):
                end = make.run_failed(
                    attempt=run.attempt or None,
                    reason="worker_killed",
                    found="job failed",
                    retries_left=0,
                    **self.place(state.name, run.run_id, run.slot, self.actor),
                )
                self.append([end])

    # Workers

    def enqueue(self, state: CronState, decided: Event) -> None:
        """A slot or a person asked for the run: into the queue, and to the first worker that is free."""
        definition = state.last_definition
        run_id, slot, now = decided.run_id, decided.scheduled_for, clock.now()
        assert definition is not None
        assert run_id is not None
        job = {"queue": definition.queue, "job_id": f"cron-{run_id}"}
        self.append([make.run_enqueued(**job, **self.place(state.name, run_id, slot, self.actor))])
        worker = min(range(WORKERS), key=self.busy_until.__getitem__)
        start = max(
            now + timedelta(milliseconds=self.random.randint(8, 90)), self.busy_until[worker]
        )
        retries = definition.retries.max if definition.retries else 0
        self.attempt(Work(state.name, run_id, slot, worker, now), start, 1, retries)

    def attempt(self, work: Work, start: datetime, number: int, retries: int) -> None:
        failure = error(work, number, self.bad_deploy, self.random)
        if failure is None:
            age = (start - self.start) / (self.until - self.start)
            took = seconds(work, age, self.random)
        else:
            took = self.random.uniform(0.2, 2)
        if start + timedelta(seconds=took) >= self.until - LAST_END:
            start = min(start, self.until - 2 * LAST_END)
            took = min(took, LAST_END.total_seconds() / 2)
        end = start + timedelta(seconds=took)
        self.busy_until[work.worker] = max(end, self.busy_until[work.worker])
        begun = work.enqueued_at.isoformat()

        def started() -> None:
            self.append(
                [
                    make.run_started(
                        attempt=number,
                        retries_left=retries,
                        job_created_at=begun,
                        job_enqueued_at=begun,
                        **self.place_of(work),
                    )
                ]
            )

        def ended() -> None:
            told = {"attempt": number, "duration_seconds": round(took, 6)}
            place = self.place_of(work)
            if failure is None and work.cron == "archive_checks" and self.random.random() < 0.04:
                self.append([make.run_declined(reason="nothing to archive", **told, **place)])
            elif failure is None:
                self.append([make.run_succeeded(**told, **place)])
            elif retries:
                failed = {"reason": "exception", "error": failure, "retries_left": retries}
                self.append([make.attempt_failed(**failed, **told, **place)])
                self.attempt(work, clock.now() + RETRY_AFTER, number + 1, retries - 1)
            else:
                failed = {"reason": "exception", "error": failure, "retries_left": 0}
                self.append([make.run_failed(**failed, **told, **place)])

        self.later(start, started)
        self.later(end, ended)

    # Places of events in their streams

    def place_of(self, work: Work) -> InRun:
        return self.place(work.cron, work.run_id, work.slot, f"worker/worker-{work.worker + 1}")

    def place(self, cron: str, run_id: UUID, slot: datetime | None, actor: str) -> InRun:
        version = self.versions[run_id] = self.versions.get(run_id, 0) + 1
        return InRun(
            cron=cron, run_id=run_id, slot=slot, version=version, actor=actor, at=clock.now()
        )
