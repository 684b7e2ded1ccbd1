"""Facts are counted in the row of their day."""

from __future__ import annotations

from rqcron_projections.folds.day_totals import complete, gather
from rqcron_projections.histogram import counts_of, packed_number

KEY = "2026-03-02/digest"


def test_durations_below_zero_which_clocks_make_count_as_zero() -> None:
    row = gather(None, KEY, [("clean", "UTC", [-5, 7], [-3, 10], []), ("measured", "duration", -1)])
    row = gather(row, KEY, [("fired", "UTC", -9)])
    complete(row)
    assert (row.lateness_count, row.lateness_min_us, row.lateness_max_us) == (3, 0, 7)
    assert (row.lateness_sum_us, row.queue_wait_sum_us, row.duration_sum_us) == (7, 10, 0)
    assert counts_of(packed_number(row.lateness_buckets)) == {0: 2, 7: 1}
    assert (row.fired, row.succeeded) == (3, 2)


def test_a_day_counts_the_same_in_any_portions() -> None:
    facts = [
        ("clean", "UTC", [1, 2], [3, 4], [5]),
        ("skipped", "UTC", "paused", 2),
        ("skipped", "UTC", "overlap", 1),
        ("failed", 1, "ValueError\nno", "run"),
        ("recovered", 60),
    ]
    whole = gather(None, KEY, facts)
    parts = None
    for fact in facts:
        parts = gather(parts, KEY, [fact])
        complete(parts)
    complete(whole)
    assert parts is not None
    names = [field.attname for field in whole._meta.concrete_fields]
    assert [getattr(parts, name) for name in names] == [getattr(whole, name) for name in names]
    assert list(whole.skipped_by_reason) == ["overlap", "paused"]
