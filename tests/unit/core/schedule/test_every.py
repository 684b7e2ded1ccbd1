"""Periods are aligned to the epoch: no restart shifts them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rqcron_events.core.schedule import EverySchedule

DAY = timedelta(days=1)
INSTANTS = st.datetimes(datetime(1970, 1, 2), datetime(2037, 1, 1), timezones=st.just(UTC))


@given(
    st.integers(1, 40 * 86_400).flatmap(
        lambda period: st.tuples(st.just(period), st.integers(0, period - 1))
    ),
    INSTANTS,
    INSTANTS,
)
def test_a_period_is_aligned_to_the_epoch_whenever_one_asks(spec, instant, restart):
    period, offset = (timedelta(seconds=seconds) for seconds in spec)
    schedule = EverySchedule(period, offset)
    for asked in (instant, restart):
        slot = schedule.next_after(asked)
        assert slot is not None
        assert timedelta(0) < slot - asked <= period
        assert (slot - datetime(1970, 1, 1, tzinfo=UTC) - offset) % period == timedelta(0)
        assert schedule.prev_until(slot) == slot
        assert schedule.prev_until(asked) == slot - period
    # The slots seen from an early start and from a late one are the same.
    early, late = sorted((instant, restart))
    seen = schedule.next_after(early)
    assert seen is not None
    seen += period * max(0, -((seen - late) // period) - 1)
    while seen <= late:
        seen += period
    assert seen == schedule.next_after(late)


@pytest.mark.parametrize(
    ("period", "offset", "message"),
    [
        (timedelta(0), timedelta(0), "every=0:00:00 is invalid: .* at least one"),
        (timedelta(seconds=-5), timedelta(0), "at least one"),
        (timedelta(milliseconds=1500), timedelta(0), "whole number of seconds"),
        (DAY, DAY, "offset=1 day, 0:00:00 is invalid: .* less than every=1 day"),
        (DAY, timedelta(seconds=-1), "from zero"),
        (DAY, timedelta(milliseconds=1), "whole seconds"),
    ],
)
def test_a_bad_period_is_refused_with_its_value_and_the_remedy(period, offset, message):
    with pytest.raises(ValueError, match=message):
        EverySchedule(period, offset)


def test_the_end_of_time_has_no_next_slot():
    end = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert EverySchedule(DAY).next_after(end) is None
