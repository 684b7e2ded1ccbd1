"""A log of many events, as a month of a project with a thousand crons would have left it.

Written by COPY, with the triggers on. The same number of events gives the same log.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import psycopg

from rqcron_events.core.definition import run_id_for_slot
from rqcron_events.core.words.apart import digest_of

CRONS = 1_000
DAYS = 30
START = datetime(2026, 3, 1, tzinfo=UTC)
END = START + timedelta(days=DAYS)
BUSY = "cron_busy"
"""The cron with a long history: it is due this many times as often as the others."""
BUSY_SHARE = 20
EVENTS_PER_SLOT = 3.9
DOWNTIME = (START + timedelta(days=12, hours=2), START + timedelta(days=12, hours=5, minutes=3))
"""No runner was alive; the slots are missed in one range per cron."""
CHUNK_BYTES = 1 << 18

COLUMNS = (
    "stream, version, type, schema_version, cron, run_id, attempt, scheduled_for, reason, actor, "
    "occurred_at, recorded_at, data"
)
NULL = r"\N"
SALT = "5a" * 16
TEXTS = {
    "error.message": "order 4711 was refused",
    "error.traceback": "Traceback (most recent call last):" + "\n  File shop/crons.py" * 8,
}
STORE_TEXTS = """
    INSERT INTO rqcron_text (event_id, field, salt, text)
    SELECT id, given.field, %s, given.text
    FROM rqcron_event, unnest(%s::text[], %s::text[]) AS given (field, text) WHERE data ? 'texts'
"""


def cron_names() -> list[str]:
    return [BUSY, *(f"cron_{number:04}" for number in range(1, CRONS))]


def periods_seconds(events: int) -> tuple[int, int]:
    """Of an ordinary cron, and of the busy one."""
    slots = events / EVENTS_PER_SLOT / (CRONS + BUSY_SHARE)
    period = max(60, round(DAYS * 86_400 / slots))
    return period, max(30, period // BUSY_SHARE)


def build_log(url: str, events: int) -> int:
    """Fill an empty ``rqcron_event`` with about this many events; returns how many."""
    count = 0
    with psycopg.connect(url, autocommit=True) as connection:
        with connection.cursor().copy(f"COPY rqcron_event ({COLUMNS}) FROM STDIN") as copy:
            lines: list[str] = []
            size = 0
            for line in Log(events).lines():
                lines.append(line)
                size += len(line)
                count += 1
                if size > CHUNK_BYTES:
                    copy.write("".join(lines))
                    lines.clear()
                    size = 0
            copy.write("".join(lines))
        connection.execute(STORE_TEXTS, [SALT, list(TEXTS), list(TEXTS.values())])
        connection.execute("VACUUM ANALYZE rqcron_event, rqcron_text")
    return count


@dataclass
class Log:
    """Lines of COPY, in the order in which a runner and workers would have written them."""

    events: int
    random: Random = field(default_factory=lambda: Random(4))
    versions: dict[str, int] = field(default_factory=dict)
    runners: int = 0

    def lines(self) -> Iterator[str]:
        period, busy_period = periods_seconds(self.events)
        yield self.runner_started(START)
        for name in cron_names():
            yield self.registered(name, busy_period if name == BUSY else period)
        others = cron_names()[1:]
        ticks = 0
        due, busy_due = _first(period), _first(busy_period)
        deploy = START + timedelta(days=1)
        while min(due, busy_due) < END:
            slot = min(due, busy_due)
            if DOWNTIME[0] <= slot < DOWNTIME[1]:
                yield from self.downtime(period, busy_period)
                due, busy_due = (_first(each, DOWNTIME[1]) for each in (period, busy_period))
                continue
            if slot >= deploy:
                yield from self.deploy(slot)
                deploy += timedelta(days=1)
            names = []
            if busy_due == slot:
                names.append(BUSY)
                busy_due += timedelta(seconds=busy_period)
            if due == slot:
                names += others
                due += timedelta(seconds=period)
                ticks += 1
                if ticks == 2:
                    yield from self.people(slot)
            yield from self.tick(names, slot)

    def tick(self, names: list[str], slot: datetime) -> Iterator[str]:
        """All decisions in one batch, then all notes of the runner, then the workers."""
        fired: list[tuple[str, UUID]] = []
        decided = slot + timedelta(milliseconds=self.random.randint(4, 400))
        for name in names:
            dice = self.random.random()
            stream = f"cron/{name}"
            if dice < 0.03:
                data = {"first": slot.isoformat(), "last": slot.isoformat(), "count": 1}
                before = slot - timedelta(seconds=periods_seconds(self.events)[name == BUSY])
                data["evidence"] = {"run_id": str(run_id_for_slot(name, before))}
                yield self.line(
                    stream, "slot_skipped", decided, name, slot=slot, reason="overlap", data=data,
                    actor="runner/web-1",
                )  # fmt: skip
                continue
            run_id = run_id_for_slot(name, slot)
            fired.append((name, run_id))
            late = round((decided - slot).total_seconds(), 6)
            yield self.line(
                stream, "slot_fired", decided, name, run_id, slot=slot, actor="runner/web-1",
                data={"lateness_seconds": late, "definition_version": 1},
            )  # fmt: skip
        enqueued = decided + timedelta(milliseconds=150)
        for name, run_id in fired:
            yield self.line(
                f"run/{run_id}", "run_enqueued", enqueued, name, run_id, slot=slot,
                actor="runner/web-1", data={"queue": "default", "job_id": f"cron-{run_id}"},
            )  # fmt: skip
        at = enqueued
        for name, run_id in fired:
            at += timedelta(milliseconds=self.random.randint(1, 40))
            yield from self.work(name, run_id, slot, at)

    def work(self, name: str, run_id: UUID, slot: datetime, at: datetime) -> Iterator[str]:
        dice = self.random.random()
        common = {"slot": slot, "actor": f"worker/worker-{run_id.int % 8}"}
        stream = f"run/{run_id}"
        duration = round(self.random.expovariate(0.5), 6)
        ended = at + timedelta(seconds=duration)
        yield self.started(stream, name, run_id, at, 1, common)
        attempt = 1
        if dice < 0.01:  # a retry
            data = {**self.error(), "retries_left": 1, "duration_seconds": duration}
            yield self.line(
                stream, "attempt_failed", ended, name, run_id, 1, reason="exception",
                data=data, **common,
            )  # fmt: skip
            attempt = 2
            yield self.started(stream, name, run_id, ended, 2, common)
            ended += timedelta(seconds=duration)
        data = {"duration_seconds": duration}
        kind, reason = "run_succeeded", ""
        if dice > 0.98:
            kind, reason = "run_failed", "exception"
            data |= self.error()
        elif dice > 0.97:
            kind, reason = "run_declined", "nothing new"
        yield self.line(
            stream, kind, ended, name, run_id, attempt, reason=reason, data=data, **common
        )
        if 0.5 < dice < 0.5005:
            yield self.line(
                stream, "start_refused", ended, name, run_id, reason="already_succeeded", **common
            )
        del self.versions[stream]

    def started(self, stream, name, run_id, at, attempt, common) -> str:
        data = {
            "retries_left": 1,
            "job_created_at": at.isoformat(),
            "job_enqueued_at": at.isoformat(),
        }
        return self.line(stream, "run_started", at, name, run_id, attempt, data=data, **common)

    def registered(self, name: str, period: int) -> str:
        definition = {"name": name, "function": f"shop.crons:{name}", "every_seconds": period}
        data = {"definition": definition, "definition_version": 1}
        data["effective_from"] = START.isoformat()
        return self.line(
            f"cron/{name}", "cron_registered", START, name, actor="runner/web-1", data=data
        )

    def downtime(self, period: int, busy_period: int) -> Iterator[str]:
        begin, end = DOWNTIME
        yield self.line(
            f"runner/web-{self.runners}", "runner_lost", end, actor=f"runner/web-{self.runners + 1}",
            data={"last_heartbeat": begin.isoformat()},
        )  # fmt: skip
        yield self.runner_started(end)
        for name in cron_names():
            each = timedelta(seconds=busy_period if name == BUSY else period)
            first = last = _first(each.total_seconds(), begin)
            count = 1
            while last + each < end:
                last, count = last + each, count + 1
            if last >= end:
                continue
            data = {"first": first.isoformat(), "last": last.isoformat(), "count": count}
            yield self.line(
                f"cron/{name}", "slot_missed", end, name, slot=last, reason="too_late",
                actor="runner/web-1", data={**data, "evidence": {"decided_at": end.isoformat()}},
            )  # fmt: skip

    def deploy(self, at: datetime) -> Iterator[str]:
        yield self.line(f"runner/web-{self.runners}", "runner_stopped", at, reason="stopped")
        yield self.runner_started(at)

    def runner_started(self, at: datetime) -> str:
        self.runners += 1
        data = {"host": "web", "pid": 16_000 + self.runners, "version": "0.1.0"}
        return self.line(f"runner/web-{self.runners}", "runner_started", at, data=data)

    def people(self, at: datetime) -> Iterator[str]:
        """Once, early: what a filter by type has to dig for."""
        for name in cron_names()[10:13]:
            run_id = run_id_for_slot(f"{name} by hand", at)
            stream, common = f"run/{run_id}", {"actor": "ann"}
            yield self.line(
                f"cron/{name}", "run_requested", at, name, run_id, reason="month end",
                data={"trigger": "manual"}, **common,
            )  # fmt: skip
            yield self.line(stream, "run_enqueued", at, name, run_id, data={"queue": "default"})
            yield self.line(stream, "run_stopped", at, name, run_id, reason="stopped", **common)
        data = {"until": (at + timedelta(hours=1)).isoformat(), "effective_from": at.isoformat()}
        for name in cron_names()[20:23]:
            stream = f"cron/{name}"
            yield self.line(
                stream, "cron_paused", at, name, actor="ann", reason="the server moves", data=data
            )
            yield self.line(
                stream, "cron_resumed", at + timedelta(minutes=1), name, actor="ann",
                data={"effective_from": (at + timedelta(minutes=1)).isoformat()},
            )  # fmt: skip

    def error(self) -> dict[str, Any]:
        """What it said stands apart."""
        kind = self.random.choice(["ValueError", "TimeoutError", "ConnectionError"])
        digests = {field: digest_of(SALT, text) for field, text in TEXTS.items()}
        return {"error": {"type": kind, "shape": "0f0f0f0f0f0f"}, "texts": digests}

    def line(
        self,
        stream: str,
        kind: str,
        at: datetime,
        cron: str = "",
        run_id: UUID | None = None,
        attempt: int | None = None,
        *,
        slot: datetime | None = None,
        reason: str = "",
        actor: str = "",
        data: dict[str, Any] | None = None,
    ) -> str:
        version = self._next_version(stream)
        content = _encode(data).replace("\\", "\\\\") if data else "{}"
        return (
            f"{stream}\t{version}\t{kind}\t1\t{cron}\t{run_id or NULL}\t{attempt or NULL}\t"
            f"{slot.isoformat() if slot else NULL}\t{reason}\t{actor}\t{at.isoformat()}\t"
            f"{at.isoformat()}\t{content}\n"
        )

    def _next_version(self, stream: str) -> int:
        version = self.versions[stream] = self.versions.get(stream, 0) + 1
        return version


_encode = json.JSONEncoder(separators=(",", ":")).encode


def _first(period: float, after: datetime = START) -> datetime:
    """The first multiple of the period, counted from the epoch, at or after an instant."""
    whole = int(period)
    return datetime.fromtimestamp(-(-int(after.timestamp()) // whole) * whole, UTC)
