"""What a run costs the runner; what it costs a worker is in ``execution/test_ledger_writer.py``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection
from redis.connection import AbstractConnection

from rqcron_events.models import CronEvent
from rqcron_events.runner import runner as runner_module

from ..conftest import MINUTE

FEW, MANY = 10, 100
STATEMENTS_MAX = 20
REDIS_MAX = 20


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """Statements, COPY included, and what is sent to Redis, each a round trip."""
    counts = {"statements": 0, "redis": 0}
    send = AbstractConnection.send_packed_command

    def send_counted(self: Any, *arguments: Any, **options: Any) -> Any:
        counts["redis"] += 1
        return send(self, *arguments, **options)

    def execute_counted(execute: Any, *arguments: Any) -> Any:
        counts["statements"] += 1
        return execute(*arguments)

    with monkeypatch.context() as patch, connection.execute_wrapper(execute_counted):
        patch.setattr(AbstractConnection, "send_packed_command", send_counted)
        if connection.vendor == "postgresql":
            from psycopg import Cursor

            copy = Cursor.copy

            def copy_counted(self: Any, *arguments: Any, **options: Any) -> Any:
                counts["statements"] += 1
                return copy(self, *arguments, **options)

            patch.setattr(Cursor, "copy", copy_counted)
        yield counts


def test_an_idle_tick_asks_whether_the_log_went_back_and_whether_it_grew(
    deploy, add, clock, monkeypatch
):
    add("monthly", every=43_200 * MINUTE)
    runner = deploy()
    while runner.tick() == 0 or runner.states.position < CronEvent.objects.latest("id").id:
        pass
    runner.tick()  # finds nothing new
    with counted(monkeypatch) as counts:
        runner.tick()
    assert counts == {"statements": 2, "redis": 0}


def test_what_a_tick_asks_and_sends_does_not_grow_with_the_runs_that_are_due(
    deploy, add, clock, monkeypatch
):
    monkeypatch.setattr(
        runner_module, "DECIDING_SECONDS_MAX", 60
    )  # else a slow machine takes two ticks
    monkeypatch.setattr(runner_module, "SLICE_SECONDS", 60)
    for number in range(MANY):
        add(f"every_{number}", every=MINUTE if number < FEW else 2 * MINUTE)
    runner = deploy()
    runner.tick()
    costs, runs = [], []
    while len(costs) < 4:
        clock.advance(MINUTE)
        before = CronEvent.objects.of_type("run_enqueued").count()
        with counted(monkeypatch) as counts:
            runner.tick()
        costs.append(counts)
        runs.append(CronEvent.objects.of_type("run_enqueued").count() - before)
    assert sorted(runs) == [FEW, FEW, MANY, MANY]
    # With what the runner does every few seconds, whether anything is due or not.
    assert max(count["statements"] for count in costs) <= STATEMENTS_MAX, costs
    assert max(count["redis"] for count in costs) <= REDIS_MAX, costs
