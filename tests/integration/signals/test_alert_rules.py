"""Which events open an alert, and which close it: told once each."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from rqcron_projections.models import Checkpoint
from rqcron_projections.signals.alerts import follow as follow_module
from rqcron_projections.signals.alerts import outbox, timed
from rqcron_projections.signals.models import AlertMessage, AlertState

from rqcron_events.operations import controls

MINUTE = timedelta(minutes=1)
OPENED, RECOVERED = "opened", "recovered"


@pytest.fixture
def runs(add, deploy, clock, end, followed):
    """``runs("F", "S")``: slots fire, and their runs end so; the changes that were told, in order."""
    add("report", schedule="* * * * *")
    runner = deploy()
    followed()

    def make(*outcomes: str) -> list[str]:
        for outcome in outcomes:
            clock.advance(MINUTE)
            runner.tick()
            end("report", *ENDS[outcome])
        return [change for _, _, change in followed()]

    return make


ENDS = {
    "F": ("run_started", "run_failed"),
    "S": ("run_started", "run_succeeded"),
    "retried": ("run_started", "attempt_failed", "run_started", "run_succeeded"),
    "lost": ("run_started", "run_lost"),
    "declined": ("run_started", "run_declined"),
    "stopped": ("run_started", "run_stopped"),
}


@pytest.mark.parametrize(
    ("limit", "outcomes", "told"),
    [
        (1, "S", []),
        (1, "F", [OPENED]),
        (1, "F F F", [OPENED]),
        (1, "F S", [OPENED, RECOVERED]),
        (1, "F S F S", [OPENED, RECOVERED, OPENED, RECOVERED]),
        (1, "lost S", [OPENED, RECOVERED]),
        (1, "retried declined stopped", []),
        (1, "F declined", [OPENED]),
        (3, "F F S F F", []),
        (3, "F F F F S", [OPENED, RECOVERED]),
    ],
)
def test_failing_is_told_once_and_so_is_its_end(alerts, runs, limit, outcomes, told):
    alerts({"failing": {"runs": limit}})
    assert runs(*outcomes.split()) == told
    assert runs() == []


def test_without_a_number_of_runs_the_crons_own_limit_counts(
    alerts, add, deploy, clock, end, followed
):
    alerts({"failing": {}})
    add("report", schedule="* * * * *", max_failures=1)
    runner = deploy()
    for told in ([], [("failing", "report", OPENED)], []):
        clock.advance(MINUTE)
        runner.tick()
        end("report", "run_started", "run_failed")
        assert followed() == told


def test_what_comes_and_goes_in_the_quiet_time_is_counted_and_not_told(alerts, runs, clock):
    alerts({"failing": {"quiet_seconds": 600}})
    assert runs("F", "S", "F", "S", "F") == [OPENED, RECOVERED]
    clock.advance(timedelta(minutes=10))
    assert runs() == [OPENED]  # it fails since, so the end of the quiet time tells it
    assert AlertMessage.objects.last().detail["untold"] == 1
    assert runs("S") == [RECOVERED]


def test_the_first_rule_that_names_a_cron_counts_for_it(alerts, add, deploy, clock, end, followed):
    alerts(
        {
            "silent": {"when": "failing", "crons": ["noisy*"], "receivers": []},
            "failing": {},
        }
    )
    add("noisy_one", schedule="* * * * *")
    add("report", schedule="* * * * *")
    runner = deploy()
    followed()
    clock.advance(MINUTE)
    runner.tick()
    end("noisy_one", "run_started", "run_failed")
    end("report", "run_started", "run_failed")
    assert followed() == [("failing", "report", OPENED)]


def test_a_downtime_tells_of_missed_slots_and_of_the_next_that_fires(
    alerts, add, deploy, clock, followed
):
    alerts({"missed": {}, "late": {"seconds": 30}})
    add("report", schedule="* * * * *")
    runner = deploy()
    followed()
    clock.advance(timedelta(minutes=5, seconds=15))  # the newest slot is 45 s late
    runner.tick()
    assert followed() == [
        ("missed", "report", OPENED),
        ("missed", "report", RECOVERED),
        ("late", "report", OPENED),
    ]
    missed, fired, late = AlertMessage.objects.order_by("id")
    assert re.match(
        "report missed 4 slots from .* to .* [(]superseded[)][.]", missed.detail["sentence"]
    )
    assert "fires again after 4 missed slots" in fired.detail["sentence"]
    assert "fired 45.0 s late; the limit is 30.0 s" in late.detail["sentence"]
    clock.advance(timedelta(seconds=15))
    runner.tick()
    assert followed() == [("late", "report", RECOVERED)]


def test_a_cron_that_is_retired_has_no_open_alert(alerts, runs, crons, deploy, clock, followed):
    alerts({"failing": {}})
    assert runs("F") == [OPENED]
    crons.crons.clear()
    deploy()
    assert followed() == [("failing", "report", RECOVERED)]
    assert "was retired" in AlertMessage.objects.last().detail["sentence"]


def test_a_run_that_takes_too_long_is_told_while_it_runs(alerts, add, deploy, clock, end, followed):
    alerts({"running": {"seconds": 90}})
    add("report", schedule="0 * * * *")
    runner = deploy()
    clock.advance(timedelta(hours=1))
    runner.tick()
    end("report", "run_started")
    assert followed() == []
    clock.advance(timedelta(seconds=91))
    assert followed() == [("running", "report", OPENED)]
    assert "is still running after 1 min 31 s" in AlertMessage.objects.last().detail["sentence"]
    end("report", "run_succeeded")
    assert followed() == [("running", "report", RECOVERED)]


def test_a_cron_without_success_is_told_unless_it_is_paused(alerts, runs, add, deploy, clock):
    alerts({"no_success": {"seconds": 600}})
    assert runs("S", "F") == []
    clock.advance(timedelta(minutes=10))
    assert runs() == [OPENED]
    assert runs("S") == [RECOVERED]
    controls.pause("report", reason="holidays", by="ann")
    clock.advance(timedelta(hours=1))
    assert runs() == []


def test_many_crons_that_only_decline_leave_a_turn_to_the_others(
    alerts, add, deploy, clock, end, followed, monkeypatch
):
    monkeypatch.setattr(timed, "CRONS_ASKED_MAX", 3)
    alerts({"no_success": {"seconds": 7200}})
    pollers = [f"poll_{number}" for number in range(4)]
    for name in (*pollers, "zz_nightly"):
        add(name, schedule="*/30 * * * *")
    runner = deploy()
    told = followed()
    for _ in range(8):
        clock.advance(30 * MINUTE)
        runner.tick()
        for name in pollers:
            end(name, "run_started", "run_declined")
        end("zz_nightly", "run_started", "run_failed")
        told += followed()
    for _ in range(60):
        told = told or followed()
    assert told == [("no_success", "zz_nightly", "opened")]


def test_a_change_of_the_rules_keeps_what_is_told_and_looks_at_all_crons(alerts, runs):
    alerts({"failing": {"runs": 5}})
    assert runs("F", "F", "F") == []
    alerts({"often": {"when": "failing", "runs": 3}})
    assert runs() == [OPENED]  # at once, by the rows of the crons
    assert runs("F") == []
    alerts({"missed": {}})
    assert runs("F", "S") == []
    assert not AlertState.objects.exists()


def test_a_stricter_rule_of_the_same_name_looks_at_all_crons(
    alerts, add, deploy, clock, end, followed
):
    alerts({"failing": {"runs": 3}})
    add("report", schedule="* * * * *")
    runner = deploy()
    for _ in range(2):
        clock.advance(MINUTE)
        runner.tick()
        end("report", "run_started", "run_failed")
        assert followed() == []
    alerts({"failing": {"runs": 1}})
    assert followed() == [("failing", "report", "opened")]
    alerts({"failing": {"runs": 5}})
    assert followed() == []  # what was told stays told
    clock.advance(MINUTE)
    runner.tick()
    end("report", "run_started", "run_succeeded")
    assert followed() == [("failing", "report", "recovered")]


def test_history_is_not_told_when_alerts_begin(alerts, runs):
    alerts({"missed": {}})
    runs("F", "S", "F", "S")
    alerts({"missed": {}, "failing": {}})
    Checkpoint.objects.filter(name="alerts").delete()
    assert runs() == []
    assert runs("F") == [OPENED]


def test_what_cannot_be_put_into_the_outbox_is_not_forgotten(alerts, runs, monkeypatch):
    alerts({"failing": {}})
    runs("S")

    def fail(*args: object) -> None:
        raise OSError("killed on purpose")

    with monkeypatch.context() as patched, pytest.raises(OSError):
        patched.setattr(outbox, "put", fail)
        runs("F")
    assert runs() == [OPENED]


def test_two_processes_that_read_the_same_page_tell_once(alerts, runs, monkeypatch, followed):
    alerts({"failing": {"runs": 2}})
    runs("S")
    original, entered = follow_module.move, []

    def overtaken(*args: object) -> bool:
        if not entered:
            entered.append(True)
            follow_module.follow()  # as another process would, between our reading and saving
        return original(*args)

    monkeypatch.setattr(follow_module, "move", overtaken)
    assert runs("F") == []
    assert entered
    assert runs("F") == [OPENED]
