"""What keeping projections current costs: ``python folding.py RATE`` prints JSON.

As beside a runner that decides RATE slots a second: each simulated second its events are appended, and then
the follower is called until nothing is left. Only the latter is measured.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import django
from systems import _cpu_seconds, _cpu_seconds_of, _postgresql

START = datetime(2026, 3, 2, tzinfo=UTC)
CRONS_MAX = 6_000
"""Each is due once a minute, as far as there are so many."""
RUNS = 2_000
DURATION = timedelta(seconds=0.7)
"""So most runs begin in one second and end in the next."""


def folding(rate: int) -> dict[str, Any]:
    from rqcron_events.followers import followers
    from rqcron_events.ledger import store

    names = [f"cron_{number:05}" for number in range(min(rate * 60, CRONS_MAX))]
    store.append(list(_registrations(names)))
    follow = followers["projections"].catch_up
    _until_nothing_is_left(follow)
    seconds = max(RUNS // rate, 2)
    pages = list(_seconds(names, rate, seconds))
    events = wall = cpu = database_cpu = wal = 0.0
    server = _postgresql()
    for page in pages:
        store.append(page)
        before = time.perf_counter(), _cpu_seconds(), _cpu_seconds_of(server), _wal_bytes()
        _until_nothing_is_left(follow)
        wal += _wal_bytes() - before[3]
        wall += time.perf_counter() - before[0]
        cpu += _cpu_seconds() - before[1]
        database_cpu += _cpu_seconds_of(server) - before[2]
        events += len(page)
    return {
        "slots_per_second": rate,
        "events": events,
        "us_per_event": wall / events * 1e6,
        "cpu_us_per_event": cpu / events * 1e6,
        "postgresql_us_per_event": database_cpu / events * 1e6,
        "wal_bytes_per_run": wal / (rate * seconds),
    }


def _until_nothing_is_left(follow: Any) -> None:
    while follow():
        pass


def _wal_bytes() -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
        return int(cursor.fetchone()[0])


def _registrations(names: list[str]) -> Iterator[Any]:
    from rqcron_events.core.definition import Definition
    from rqcron_events.core.events import Event, EventType, cron_stream

    for name in names:
        definition = Definition(name=name, function="crons.nothing", expression="* * * * *")
        yield Event(
            stream=cron_stream(name), version=1, type=EventType.CRON_REGISTERED, cron=name,
            occurred_at=START - timedelta(seconds=1), actor="runner/one",
            data={"definition": definition.to_data(), "definition_version": 1},
        )  # fmt: skip


def _seconds(names: list[str], rate: int, seconds: int) -> Iterator[list[Any]]:
    """The events of each second, in the order in which they are appended."""
    from rqcron_events.core.definition import run_id_for_slot
    from rqcron_events.core.events import Event, EventType, cron_stream, run_stream

    versions = dict.fromkeys(names, 1)
    timed: list[tuple[datetime, Any]] = []
    for number in range(rate * seconds):
        name = names[number % len(names)]
        versions[name] += 1
        slot = START + timedelta(seconds=number // rate)
        run_id = run_id_for_slot(name, slot)
        common = {"cron": name, "run_id": run_id}
        begins = slot + timedelta(seconds=0.2 + 0.5 * (number % rate) / rate)
        timed.append(
            (slot, Event(
                stream=cron_stream(name), version=versions[name], type=EventType.SLOT_FIRED,
                scheduled_for=slot, occurred_at=slot + timedelta(milliseconds=50), actor="runner/one",
                data={"lateness_seconds": 0.05, "definition_version": 1}, **common,
            ))
        )  # fmt: skip
        for version, type_, at, data in (
            (1, EventType.RUN_ENQUEUED, slot + timedelta(seconds=0.1), {"queue": "default"}),
            (2, EventType.RUN_STARTED, begins, {}),
            (3, EventType.RUN_SUCCEEDED, begins + DURATION, {"duration_seconds": 0.7}),
        ):
            timed.append(
                (at, Event(
                    stream=run_stream(run_id), version=version, type=type_, scheduled_for=slot,
                    attempt=1 if version > 1 else None, occurred_at=at, actor="worker/one", data=data,
                    **common,
                ))
            )  # fmt: skip
    timed.sort(key=lambda pair: pair[0])
    for second in range(seconds + 2):
        ends = START + timedelta(seconds=second + 1)
        found = [event for at, event in timed if ends - timedelta(seconds=1) <= at < ends]
        if found:
            yield found


if __name__ == "__main__":
    django.setup()
    print(json.dumps(folding(int(sys.argv[1]))))
