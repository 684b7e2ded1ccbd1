"""A short drill; ``make chaos MINUTES=15 SEED=...`` is the long one."""

from __future__ import annotations

import pytest

from tests.chaos.drill import drill
from tests.faketime import LIBRARIES
from tests.system_packages import require

FAULT_SECONDS = 25
OPENING = (
    "fail_over", "empty_redis", "kill_horse", "kill_machine", "skew_clock", "freeze_runner",
    "restart_pooler", "stop_second_redis", "stop_database",
)  # fmt: skip
"""First, so that even a short drill has them; what Redis forgot takes a minute to be given up."""


@pytest.mark.timeout(420)
@pytest.mark.parametrize("seed", [4])
def test_the_invariants_hold_under_random_faults(seed: int):
    require("faketime", is_installed=bool(LIBRARIES))
    report = drill(seed, FAULT_SECONDS, opening=OPENING, hasten=True)
    print(f"\n{report}")
    assert not report.violations, str(report)
