"""What other schedulers did at deploys and restarts; ``docs/field-reports.md``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rqcron_events import audit, explain
from rqcron_events.models import CronEvent
from rqcron_events.runner.runner import Runner
from rqcron_events.testing import assert_fired

MINUTE = timedelta(minutes=1)


def slot(text: str) -> datetime:
    """``16:00`` of 2 March 2026, in UTC."""
    return datetime.fromisoformat(f"2026-03-02T{text}").replace(tzinfo=UTC)


def fired(cron: str = "report") -> list[str]:
    slots = CronEvent.objects.for_cron(cron).of_type("slot_fired").order_by("id")
    return [f"{found:%H:%M}" for found in slots.values_list("scheduled_for", flat=True)]


def types(cron: str) -> list[str]:
    return list(CronEvent.objects.for_cron(cron).order_by("id").values_list("type", flat=True))


def test_a_restart_over_a_slot_fires_it_late_and_says_so(add, deploy, clock):
    """dramatiq-crontab 97: down from 15:59:59 to 16:00:16, and the slot at 16:00 was lost.

    good_job 1484 and 1600: a slot was lost on a deploy, and nothing told why.
    """
    add("report", schedule="0 * * * *")
    clock.set(slot("15:30"))
    old = deploy()
    clock.set(slot("15:59:59"))
    old.stop()
    clock.set(slot("16:00:16"))
    deploy()
    assert assert_fired("report", slot("16:00")).data["lateness_seconds"] == 16
    told = explain("report", slot("16:00")).summary
    assert "16.0 s late" in told
    assert "no runner was alive from 2026-03-02 15:59:59 UTC to 2026-03-02 16:00:16 UTC" in told


@pytest.mark.parametrize("overlaps", [False, True], ids=["one after the other", "together"])
def test_a_rolling_deploy_runs_each_slot_once(add, deploy, clock, overlaps):
    """sidekiq 6656: a job of each 15 minutes was missed once, with overlap and without."""
    add("report", schedule="*/15 * * * *")
    clock.set(slot("12:01"))
    old = deploy()
    for minutes in (15, 30, 45):
        due = slot("12:00") + minutes * MINUTE
        clock.set(due - timedelta(seconds=2))
        old.tick()
        new = Runner()
        if overlaps:
            new.start()
            new.tick()
            clock.set(due)
            old.tick()
            old.stop()
        else:
            old.stop()
            clock.set(due)
            new.start()
        clock.set(due + timedelta(seconds=2))
        new.tick()
        old = new
    assert fired() == ["12:15", "12:30", "12:45"]
    assert audit("report").ok


def test_a_period_goes_on_where_it_was_whatever_is_restarted(add, deploy, clock):
    """rq-scheduler 269 and 282, sidekiq-scheduler 251: each deploy began the period anew."""
    add("report", every=15 * MINUTE)
    for text in ("12:07", "12:14", "12:22", "12:29:59"):
        clock.set(slot(text))
        deploy()
    clock.set(slot("12:30:01"))
    deploy()
    assert fired() == ["12:15", "12:30"]


def test_a_new_cron_first_runs_at_its_first_slot(add, deploy, clock):
    """django-q2 235, django-q 600: creating a cron ran it at once."""
    add("report", schedule="*/10 * * * *")
    clock.set(slot("10:03"))
    runner = deploy()
    for text in ("10:03:01", "10:09:59", "10:10:01"):
        assert fired() == []
        clock.set(slot(text))
        runner.tick()
    assert fired() == ["10:10"]


def test_a_cron_that_is_removed_or_renamed_is_retired(add, crons, deploy, clock):
    """solid_queue 382, pgqueuer 343, sidekiq-cron 488, zato 874: it went on, or ran twice."""
    for name in ("removed", "old name", "kept"):
        add(name, schedule="0 * * * *")
    deploy()
    crons.crons.clear()
    add("new name", schedule="0 * * * *")
    add("kept", lambda: None, schedule="0 * * * *")  # another function, the same name
    clock.set(slot("09:30"))
    runner = deploy()
    clock.set(slot("10:00:01"))
    runner.tick()
    assert types("removed") == types("old name") == ["cron_registered", "cron_retired"]
    assert fired("new name") == fired("kept") == ["10:00"]
    [change] = CronEvent.objects.of_type("cron_changed")
    assert (change.cron, list(change.data["changes"])) == ("kept", ["function"])
    assert explain("old name", slot("10:00")).verdict == "not_registered"


def test_an_old_definition_stays_in_effect_and_says_since_when(add, deploy, clock):
    """solid_queue 738: nobody could see which of two versions was used."""
    add("report", schedule="0 * * * *")
    deploy()
    clock.set(slot("09:30"))
    add("report", schedule="30 * * * *")
    assert explain("report", slot("10:00")).definition.schedule_text == "0 * * * *"
    deploy()
    answer = explain("report", slot("10:30"))
    assert answer.definition.schedule_text == "30 * * * *"
    assert (answer.definition_version, answer.effective_from) == (2, slot("09:30"))
