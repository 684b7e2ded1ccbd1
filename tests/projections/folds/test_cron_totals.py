"""A cron's totals are those of all its days together."""

from __future__ import annotations

from collections import Counter

import pytest
from rqcron_projections.cron_total import MEASURES, CronTotal
from rqcron_projections.folds.cron_totals import complete, gather
from rqcron_projections.models import CronDay
from rqcron_projections.projector import catch_up

from rqcron_events.core.events import OUTCOMES
from tests.projections.histories import append, history

OUTCOME_NAMES = [outcome.removeprefix("run_") for outcome in OUTCOMES]


@pytest.mark.django_db
@pytest.mark.parametrize("seed", [1, 2])
def test_totals_are_the_sums_of_the_days(seed):
    append(history(seed, 300))
    catch_up()
    totals = list(CronTotal.objects.all())
    assert {total.cron for total in totals} == set(CronDay.objects.values_list("cron", flat=True))
    for total in totals:
        days = list(CronDay.objects.filter(cron=total.cron))
        slots: Counter[str] = Counter()
        outcomes: Counter[str] = Counter()
        for day in days:
            slots["fired"] += day.fired
            for decision in ("skipped", "missed"):
                for reason, count in getattr(day, f"{decision}_by_reason").items():
                    slots[f"{decision}/{reason}"] += count
            outcomes.update({name: getattr(day, name) for name in OUTCOME_NAMES})
        assert (total.slots, total.outcomes) == (+slots, +outcomes)
        assert total.requested == sum(day.requested for day in days)
        assert total.attempts_failed == sum(day.attempts_failed for day in days)
        for measure in MEASURES:
            counts = getattr(total, f"{measure}_buckets").split(",")
            assert sum(map(int, counts)) == sum(getattr(day, f"{measure}_count") for day in days)
            sums = [getattr(day, f"{measure}_sum_us") for day in days]
            assert getattr(total, f"{measure}_sum_us") == sum(sums)


@pytest.mark.parametrize(
    ("value_us", "bucket"),
    [(-5, 0), (0, 0), (10_000, 0), (10_001, 1), (60_000_000, 8), (14_400_000_001, 13)],
)
def test_a_value_counts_up_to_its_bound_and_below_zero_as_zero(value_us, bucket):
    total = gather(None, "report", [("measured", "duration", value_us)])
    complete(total)
    assert total.duration_buckets.split(",").index("1") == bucket
    assert total.duration_sum_us == max(value_us, 0)


def test_an_unknown_fact_is_no_silent_zero():
    with pytest.raises(ValueError, match="has no fact"):
        gather(None, "report", [("exploded",)])
