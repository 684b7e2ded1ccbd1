"""``explain`` goes by the stream that an event stands in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rqcron_events import explain
from rqcron_events.models import CronEvent


def test_a_row_in_another_stream_decides_nothing_whatever_its_column_says(
    deploy, add, clock, rows_of_before
):
    add("report", schedule="* * * * *")
    runner = deploy()
    clock.advance(timedelta(minutes=2))
    runner.tick()
    slot = datetime(2026, 3, 2, 9, 1, tzinfo=UTC)
    true = explain("report", slot).to_data()
    for number, kind in enumerate(("slot_skipped", "cron_paused", "run_requested"), 1):
        CronEvent(
            stream="cron/other",
            version=number,
            type=kind,
            cron="report",
            reason="paused",
            actor="mallory",
            scheduled_for=slot,
            occurred_at=clock.now,
            data={"first": slot.isoformat(), "count": 1, "evidence": {}},
        ).save()
    assert explain("report", slot).to_data() == true
