"""Histograms hold what they count within their error, and add up."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rqcron_projections.histogram import (
    RELATIVE_ERROR,
    bucket_of,
    bucket_range_us,
    counts_of,
    pack,
    packed_number,
    percentile_us,
)


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


COUNTS = st.dictionaries(st.integers(0, 1_500), st.integers(1, 5 * 10**11), max_size=20)


@given(COUNTS, COUNTS)
def test_packed_histograms_add_up(one: dict[int, int], other: dict[int, int]) -> None:
    assert counts_of(packed_number(pack(one))) == one
    total = packed_number(pack(one)) + packed_number(pack(other))
    assert counts_of(total) == Counter(one) + Counter(other)


@given(COUNTS)
def test_a_packed_histogram_is_as_wide_as_its_largest_count(counts: dict[int, int]) -> None:
    if counts:
        _, width, digits = pack(counts).split(":")
        assert len(digits) == 2 * int(width) * (max(counts) - min(counts) + 1)
        assert 256 ** (int(width) - 1) <= max(counts.values()) < 256 ** int(width)
