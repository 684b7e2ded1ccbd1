"""What projects use in their own tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rqcron_events.models import CronEvent
from rqcron_events.testing import FakeClock, assert_fired, assert_not_fired, tick


def test_a_tick_decides_and_enqueues_nothing(db, add, redis_connection):
    add("send_digest", schedule="0 9 * * 1-5", timezone="America/New_York")
    slot = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)
    with FakeClock(datetime(2026, 3, 2, 13, 59, tzinfo=UTC)) as clock:
        assert tick() == []
        clock.advance(timedelta(minutes=2))
        assert tick() == [("send_digest", slot)]
        assert tick() == []
    assert_fired("send_digest", slot)
    assert_not_fired("send_digest", slot - timedelta(days=1))
    with pytest.raises(AssertionError, match="no decision covers this slot"):
        assert_fired("send_digest", slot + timedelta(days=1))
    assert redis_connection.dbsize() == 0
    assert not CronEvent.objects.of_type("run_enqueued").exists()
