"""``cron_run --once``: what is due now, and no more."""

from __future__ import annotations

from datetime import timedelta

from rqcron_events.leadership.lease import Lease
from rqcron_events.ledger import store
from rqcron_events.models import CronSnapshot
from rqcron_events.runner.once import once


def test_the_next_one_need_not_fold_the_whole_log(db, redis_connection, add, clock, monkeypatch):
    add("report", schedule="* * * * *")
    once()
    for _ in range(5):
        clock.advance(timedelta(minutes=1))
        assert once().decided == 1
    read = []
    tail = store.tail
    monkeypatch.setattr(
        store, "tail", lambda *given, **how: read.append(tail(*given, **how)) or read[-1]
    )
    clock.advance(timedelta(minutes=1))
    assert once().decided == 1
    assert sum(len(page.events) for page in read) <= 8


def test_it_leaves_the_snapshot_to_who_leads(db, redis_connection, add, clock):
    add("report", schedule="* * * * *")
    leader = Lease("leader-elsewhere")
    assert leader.hold()
    once()
    assert not CronSnapshot.objects.exists()
    leader.step_down()
    once()
    assert CronSnapshot.objects.exists()
    assert Lease("another").hold(), "nobody leads afterwards"
