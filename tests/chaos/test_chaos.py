"""A short drill; ``make chaos MINUTES=15 SEED=...`` is the long one."""

from __future__ import annotations

import pytest

from tests.chaos.drill import drill

FAULT_SECONDS = 25
OPENING = ("empty_redis", "kill_horse", "kill_machine", "freeze_runner", "stop_database")
"""First, so that even a short drill has them; what Redis forgot takes a minute to be given up."""


@pytest.mark.timeout(420)
@pytest.mark.parametrize("seed", [4])
def test_the_invariants_hold_under_random_faults(seed: int):
    report = drill(seed, FAULT_SECONDS, opening=OPENING, hasten=True)
    print(f"\n{report}")
    assert not report.violations, str(report)
