"""A run without incident as one row."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from rqcron_events.core.clean_run.columns import Elapsed, OfRun, row_maker
from rqcron_events.core.clean_run.run import CleanRun
from tests.unit.history import at


def run(started_after: timedelta) -> CleanRun:
    slot = at("09:00")
    return CleanRun(
        UUID(int=1), "alpha", 1, 4, slot, slot, "runner/one", 0.0, "default",
        slot, slot + started_after, "worker/one", slot + timedelta(seconds=9), 1.5,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (OfRun("cron"), "alpha"),
        (OfRun("duration_seconds"), 1.5),
        (Elapsed("enqueued_at", "started_at"), 2.0),
        (Elapsed("started_at", "enqueued_at"), 0.0),
        ("slot", "slot"),
        (0, 0),
    ],
)
def test_a_column_is_a_field_or_a_span_that_clocks_cannot_make_negative_or_the_same_in_every_row(
    column: OfRun | Elapsed | str | int, value: object
) -> None:
    assert row_maker([column])(run(timedelta(seconds=2))) == (value,)


def test_values_stand_in_the_order_of_the_columns() -> None:
    make = row_maker([1, OfRun("cron"), "slot"])
    assert make(run(timedelta(0))) == (1, "alpha", "slot")
