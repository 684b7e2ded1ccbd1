"""A clock that was ahead decided slots of the future; ``cron_rewind`` takes that back, once."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from rqcron_projections import projector
from rqcron_projections.models import CronJob
from rqcron_projections.replay.rebuild import check

from rqcron_events.core.decide import next_due
from rqcron_events.core.events import DECISIONS
from rqcron_events.core.explain.explanation import Verdict
from rqcron_events.errors import CronConfigError, UnknownCron
from rqcron_events.ledger.cron_states import States, state_of, states_without_runs
from rqcron_events.models import CronEvent
from rqcron_events.operations import controls
from rqcron_events.operations.rewind import rewind, rewind_all
from rqcron_events.queries.audit import audit
from rqcron_events.queries.explain import explain
from rqcron_events.queries.health import health

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


def decisions(name: str, after: datetime | None = None) -> list[tuple[str, datetime | None, int]]:
    rows = CronEvent.objects.filter(cron=name, type__in=sorted(DECISIONS)).order_by("version")
    if after is not None:
        rows = rows.filter(scheduled_for__gt=after)
    return [(row.type, row.scheduled_for, row.data.get("count", 1)) for row in rows]


@pytest.fixture
def ahead(deploy, add, clock):
    """A runner decided by a clock that was an hour ahead for three minutes, and is right again."""
    add("minutely", schedule="* * * * *")
    add("hourly", schedule="0 * * * *")
    runner = deploy()
    clock.advance(MINUTE)
    runner.tick()
    clock.advance(timedelta(hours=1))
    for _ in range(3):
        runner.tick()
        clock.advance(MINUTE)
    clock.advance(-timedelta(hours=1))
    return runner


def test_a_cron_that_is_silent_fires_again_and_no_slot_twice(ahead, clock):
    silent = clock.now
    ahead.tick()
    assert decisions("minutely")[-1][1] > silent + 50 * MINUTE
    (problem,) = health().problems
    assert "'hourly', 'minutely' are decided up to" in problem

    until = rewind("minutely", reason="the clock of web-1", by="ann")
    rewind("hourly", by="ann")
    event = CronEvent.objects.filter(type="cron_rewound", cron="minutely").get()
    assert (event.actor, event.reason) == ("ann", "the clock of web-1")
    assert event.data["watermark"] == until.isoformat()
    assert event.data["effective_from"] == silent.isoformat()
    (kept,) = event.data["kept"]  # the three that fired, next to each other
    assert datetime.fromisoformat(kept[1]) - datetime.fromisoformat(kept[0]) == 2 * MINUTE
    assert health().problems == []

    for _ in range(70):
        clock.advance(MINUTE)
        ahead.tick()
    new = CronEvent.objects.filter(cron="minutely", version__gt=event.version)
    slots = [row.scheduled_for for row in new.filter(type="slot_fired").order_by("version")]
    assert len(slots) == 70 - 3
    assert len(set(slots)) == len(slots)
    fired = CronEvent.objects.filter(cron="minutely", type="slot_fired")
    assert fired.values("scheduled_for").distinct().count() == fired.count()
    found = audit("minutely")
    assert found.ok, found
    assert (found.totals.unaccounted, found.totals.pending) == (0, 0)
    assert audit("hourly").ok


def test_a_rewind_is_the_same_from_the_snapshot_and_from_the_log(ahead, clock):
    rewind("minutely", by="ann")
    for _ in range(5):
        clock.advance(MINUTE)
        ahead.tick()
    ahead.states.follow()
    ahead.save_snapshot()
    fresh = States()
    fresh.follow()
    loaded = States.load()
    for states in (fresh, loaded):
        assert states.crons["minutely"].to_data() == ahead.states.crons["minutely"].to_data()
    watermark = ahead.states.crons["minutely"].watermark
    assert state_of("minutely").watermark == watermark
    assert states_without_runs()[0]["minutely"].watermark == watermark
    assert audit("minutely").ok  # which compares the snapshot with the log


def test_explain_knows_what_was_taken_back(ahead, clock):
    taken_back = clock.now.replace(second=0) + 10 * MINUTE
    assert explain("minutely", taken_back).verdict is Verdict.MISSED
    kept = decisions("minutely")[-1][1]
    rewind("minutely", by="ann")
    assert explain("minutely", taken_back).verdict is Verdict.PENDING
    assert explain("minutely", kept).verdict is Verdict.FIRED
    clock.advance(10 * MINUTE)
    ahead.tick()
    assert explain("minutely", taken_back).verdict is Verdict.FIRED


def test_the_list_does_not_name_a_kept_slot_as_the_next(ahead, clock):
    rewind_all(by="ann")
    named = []
    for _ in range(70):
        projector.catch_up()
        named.append(CronJob.objects.get(name="minutely").next_slot)
        assert named[-1] == next_due(States.load().crons["minutely"])
        clock.advance(MINUTE)
        ahead.tick()
    assert len(set(named)) == 70 - 3
    assert check() == []


def test_downtime_over_kept_slots_passes_them_over_in_parts(ahead, clock):
    """A decision about many slots covers none that has one already."""
    rewind("minutely", by="ann")
    clock.advance(timedelta(hours=2))
    ahead.tick()
    assert [kind for kind, _, _ in decisions("minutely")][-3:] == [
        "slot_missed",
        "slot_missed",
        "slot_fired",
    ]
    found = audit("minutely")
    assert found.ok, found


def test_a_clock_that_is_ahead_again_is_taken_back_again(ahead, clock):
    rewind("minutely", by="ann")
    clock.advance(MINUTE)
    ahead.tick()
    clock.advance(DAY)
    ahead.tick()
    clock.advance(-DAY)
    rewind("minutely", by="ann")
    for _ in range(70):
        clock.advance(MINUTE)
        ahead.tick()
    found = audit("minutely")
    assert found.ok, found
    fired = CronEvent.objects.filter(cron="minutely", type="slot_fired")
    assert fired.values("scheduled_for").distinct().count() == fired.count()


def test_a_pause_by_who_noticed_it_counts_from_the_rewind_on(ahead, clock):
    controls.pause("minutely", reason="what is going on?", by="ann")
    rewind("minutely", by="ann")
    clock.advance(5 * MINUTE)
    ahead.tick()
    assert decisions("minutely")[-1][::2] == ("slot_skipped", 5)


def test_there_is_nothing_to_take_back_of_a_cron_that_is_on_time(deploy, add, clock):
    add("minutely", schedule="* * * * *")
    runner = deploy()
    clock.advance(MINUTE)
    runner.tick()
    with pytest.raises(CronConfigError, match="which is not in the future"):
        rewind("minutely")
    with pytest.raises(CronConfigError, match="None of 1 crons is decided up to the future"):
        rewind_all()
    with pytest.raises(UnknownCron, match="minutly"):
        rewind("minutly")
    with pytest.raises(CommandError, match="There is nothing to take back"):
        call_command("cron_rewind", "minutely")
    with pytest.raises(CommandError, match="Give 'minutely' or --all, not both"):
        call_command("cron_rewind", "minutely", "--all")
    assert not CronEvent.objects.filter(type="cron_rewound").exists()


def test_all_of_them_at_once(ahead, capsys):
    call_command("cron_rewind", "--all", "--reason", "ntp", "--by", "ann")
    assert "minutely had been decided up to" in capsys.readouterr().out
    rows = CronEvent.objects.filter(type="cron_rewound")
    assert sorted(rows.values_list("cron", flat=True)) == ["hourly", "minutely"]
    assert json.dumps(health().to_data())
