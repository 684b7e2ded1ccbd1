"""Our schedules agree with CronSim, and where CronSim errs, with a walk over every minute.

Both rules are Debian's, so CronSim 2.8 is the oracle, with three exceptions that were looked into.

An expression that follows real time (minute or hour begins with ``*``, or six fields), in a
stretch where the zone's offset from UTC is not a whole number of hours (Lord Howe, Chatham,
Tehran, Kathmandu, Caracas 2007-2016, Pyongyang, St John's, Monrovia) or a midnight is skipped
(Sao Paulo, Apia): CronSim steps by whole hours from wherever it stands and begins days at a
midnight that may not exist, so it misses slots, names some that do not match, gives answers that
depend on where it starts, and can hang. There the oracle is brute force: walk over every minute of
real time and ask CronSim's parsed fields whether the minute on the wall matches.

An equal range with a step, ``5-5/20``: CronSim reads ``5/20``, crontab(5) has 5 alone.

A start in the second pass of a repeated hour: CronSim can answer with an instant before the start,
which is skipped.

2,000 cases run by default; RQCRON_SCHEDULE_CASES says how many, RQCRON_SCHEDULE_SEED which.
"""

from __future__ import annotations

import itertools
import os
import random
from datetime import timedelta

import pytest

from rqcron_events.core.schedule import Schedule, cron_schedule
from tests.examples import examples

from .schedule_cases import (
    SLOTS_COMPARED,
    WALK_MAX,
    Case,
    by_cronsim,
    by_walking,
    cases,
    has_plain_clock,
    near_a_slot,
)

COUNT = int(os.environ.get("RQCRON_SCHEDULE_CASES", examples(2000)))
SEED = int(os.environ.get("RQCRON_SCHEDULE_SEED", "0"))
PART = 500


def ours(schedule: Schedule, case: Case) -> list:
    found, cursor = [], case.instant
    for _ in range(SLOTS_COMPARED):
        cursor = schedule.next_after(cursor)
        if cursor is None:
            break
        found.append(cursor)
    return found


def disagreement(case: Case, tally: dict[str, int]) -> str | None:
    schedule = cron_schedule(case.expression, case.zone)
    found = ours(schedule, case)
    end = found[-1] if found else case.instant
    if case.follows_real_time and not has_plain_clock(case.zone, case.instant, end):
        case = near_a_slot(case)
        oracle = "the walk"
        expected = by_walking(case)
        end = case.instant.replace(second=0, microsecond=0) + WALK_MAX
        found = [slot for slot in ours(schedule, case) if slot < end]
    else:
        oracle = "CronSim"
        expected = by_cronsim(case)
    tally[oracle] = tally.get(oracle, 0) + len(expected)
    if found == expected:
        return backwards(schedule, found)
    return f"{case}: {oracle} says {texts(expected, case)}, we say {texts(found, case)}"


def backwards(schedule: Schedule, slots: list) -> str | None:
    """``prev_until`` finds each slot again, from itself and from just before the next one."""
    source = random.Random(len(slots))
    for slot, following in itertools.pairwise(slots):
        if source.random() > 0.2:
            continue
        late = slot + (following - slot) * source.random()
        for instant in (slot, min(late, following - timedelta(microseconds=1))):
            found = schedule.prev_until(instant)
            if found != slot:
                return f"{schedule}: prev_until({instant}) is {found}, not {slot}"
    return None


def texts(slots: list, case: Case) -> list[str]:
    zone = cron_schedule(case.expression, case.zone).zone
    return [str(slot.astimezone(zone)) for slot in slots]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(max(1, COUNT // PART)))
def test_random_schedules_agree_with_the_oracle(part):
    tally: dict[str, int] = {}
    found = (disagreement(case, tally) for case in cases(SEED * 1_000_000 + part, PART))
    wrong = [text for text in found if text]
    assert not wrong, f"{len(wrong)} of {PART} disagree:\n" + "\n".join(wrong[:5])
    assert tally["CronSim"] > PART
    assert tally["the walk"] > PART / 5  # both oracles had something to say
