"""A short drill; ``make chaos-receivers MINUTES=3 SEED=...`` is the long one."""

from __future__ import annotations

import pytest

from tests.chaos.receivers import drill
from tests.faketime import LIBRARIES
from tests.system_packages import require

FAULT_SECONDS = 12
OPENING = (
    "receiver_answers_500", "kill_followers", "kill_horse", "kill_runner", "receiver_is_dead",
    "kill_machine", "receiver_hangs",
)  # fmt: skip


@pytest.mark.timeout(300)
def test_no_alert_and_no_span_is_lost_while_receivers_and_processes_are_struck():
    require("faketime", is_installed=bool(LIBRARIES))
    report = drill(5, FAULT_SECONDS, opening=OPENING)
    print(f"\n{report}")
    assert not report.violations, str(report)
    assert report.alerts
