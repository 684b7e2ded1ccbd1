"""When an idle log is looked at again."""

from __future__ import annotations

import pytest

from rqcron_events import clock
from rqcron_events.runner.following.steps import LOOK_AT, seconds_until_look


@pytest.mark.parametrize("fraction", [0.0, 0.1, LOOK_AT, 0.5, 0.999])
def test_followers_look_once_a_second_and_not_as_slots_come_due(monkeypatch, fraction: float):
    now = 1_800_000_000 + fraction
    monkeypatch.setattr(clock, "machine_seconds", lambda: now)
    seconds = seconds_until_look()
    assert 0 < seconds <= 1
    assert (now + seconds) % 1 == pytest.approx(LOOK_AT, abs=1e-6)
