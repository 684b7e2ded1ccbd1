"""Ids of spans are made of the run's id, and nothing else."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from rqcron_events.core.definition import run_id_for_slot
from rqcron_events.core.events.trace_ids import (
    attempt_span_id,
    decision_span_id,
    is_sampled,
    run_span_id,
    traceparent,
)

RUN = UUID("9f0b1c8e-6f0a-5d2b-8c57-0f6f2f1d3a41")
START = datetime(2026, 3, 2, tzinfo=UTC)


def test_every_span_of_every_run_has_an_id_of_its_own():
    runs = [uuid4() for _ in range(500)]
    ids = [
        made
        for run in runs
        for made in (
            decision_span_id(run),
            run_span_id(run),
            *(attempt_span_id(run, number) for number in range(1, 12)),
        )
    ]
    assert len(set(ids)) == len(ids)
    assert all(0 < made < 2**64 for made in ids)


def test_another_process_makes_the_same_ids():
    """They are in traces that were told, so they stay."""
    assert decision_span_id(RUN) == 0xC4AAC1B017A93433
    assert run_span_id(RUN) == 0x45E5D2CAAB4391AA
    assert attempt_span_id(RUN, 1) == 0x3DA492EBE4D5FCC9


def test_the_header_is_one_of_trace_context():
    header = traceparent(RUN, 2, 1.0)
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", header)
    assert header.split("-")[1] == RUN.hex
    assert traceparent(RUN, 2, 0.0).endswith("-00")


@pytest.mark.parametrize("ratio", [0.0, 0.1, 0.5, 0.75, 1.0])
@pytest.mark.parametrize(
    "runs",
    [
        [uuid4() for _ in range(4_000)],
        [run_id_for_slot("report", START + timedelta(minutes=n)) for n in range(4_000)],
    ],
    ids=["asked for", "of slots"],
)
def test_as_many_runs_are_sampled_as_the_ratio_says(runs: list[UUID], ratio: float):
    sampled = sum(is_sampled(run, ratio) for run in runs)
    assert abs(sampled - ratio * len(runs)) <= (250 if 0 < ratio < 1 else 0)


def test_who_samples_more_has_the_runs_of_who_samples_less():
    runs = [uuid4() for _ in range(1_000)]
    assert all(is_sampled(run, 0.5) for run in runs if is_sampled(run, 0.2))
