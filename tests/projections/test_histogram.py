"""Histograms, message shapes and runner sessions, case by case."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rqcron_projections.folds import runners
from rqcron_projections.folds.error_shape import message_shape
from rqcron_projections.histogram import (
    RELATIVE_ERROR,
    bucket_of,
    bucket_range_us,
    counts_of,
    pack,
    packed_number,
    percentile_us,
)
from rqcron_projections.models import RunnerSession

from rqcron_events.core.events import Event, EventType, runner_stream

from .histories import START


@given(st.integers(0, 10**15))
def test_a_bucket_holds_its_value_and_is_narrow(value: int) -> None:
    low, high = bucket_range_us(bucket_of(value))
    assert low <= value < high
    assert high - low == 1 or (high - low) / 2 <= RELATIVE_ERROR * low
    assert bucket_of(high) == bucket_of(value) + 1


@given(st.lists(st.integers(0, 10**12), min_size=1), st.sampled_from([0.5, 0.95, 0.99, 1.0]))
def test_a_percentile_is_within_the_error(values: list[int], fraction: float) -> None:
    counts: dict[int, int] = {}
    for value in values:
        counts[bucket_of(value)] = counts.get(bucket_of(value), 0) + 1
    true = sorted(values)[max(-(-int(fraction * 100) * len(values) // 100), 1) - 1]
    told = percentile_us(counts, fraction, min(values), max(values))
    assert told == pytest.approx(true, rel=RELATIVE_ERROR)


COUNTS = st.dictionaries(st.integers(0, 1_500), st.integers(1, 10**9), max_size=20)


@given(COUNTS, COUNTS)
def test_packed_histograms_add_up(one: dict[int, int], other: dict[int, int]) -> None:
    assert counts_of(packed_number(pack(one))) == one
    total = packed_number(pack(one)) + packed_number(pack(other))
    assert counts_of(total) == Counter(one) + Counter(other)


@pytest.mark.parametrize(
    ("message", "shape"),
    [
        ("order 4711 not found", "order <number> not found"),
        ("took 3.5s, 1,000 rows", "took <number>s, <number> rows"),
        ("no key 'ann' in \"users\"", "no key <text> in <text>"),
        ("can't open it, don't know why", "can't open it, don't know why"),
        ("run 0ec91153-6c4e-50ae-adf0-995866017f31 died", "run <uuid> died"),
        ("object at 0x7F3a, commit deadbeef01", "object at <hex>, commit <hex>"),
        ("facade decade", "facade decade"),
        ("two\n  lines", "two lines"),
        ("x" * 5_000, "x" * 120),
    ],
)
def test_a_message_is_reduced_to_its_shape(message: str, shape: str) -> None:
    assert message_shape(message) == shape


def test_a_runner_that_comes_back_begins_a_new_session() -> None:
    rows: dict[str, RunnerSession] = {}

    def write(kind: EventType, seconds: int, **data: object) -> None:
        event = Event(
            stream=runner_stream("web-1"),
            version=1,
            type=kind,
            actor="runner/web-2",
            occurred_at=START + timedelta(seconds=seconds),
            data=data,
        )
        for row in runners.apply(rows.get("web-1"), event):
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
