"""Probes for every taste: one cron, failures in a row, no success for too long."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.test.utils import CaptureQueriesContext

from rqcron_events import clock
from rqcron_events.core.events import EventType, make
from rqcron_events.core.interventions.pauses import GlobalPauses
from rqcron_events.ledger import store
from rqcron_events.ledger.cron_states import states_without_runs
from rqcron_events.models import CronEvent
from rqcron_events.operations import controls
from rqcron_events.queries.health import health
from rqcron_events.queries.results import Limits, result_problems

MINUTE = timedelta(minutes=1)
FAILED, LOST, SUCCEEDED = EventType.RUN_FAILED, EventType.RUN_LOST, EventType.RUN_SUCCEEDED
MAKES = {FAILED: make.run_failed, LOST: make.run_lost, SUCCEEDED: make.run_succeeded}


@pytest.fixture
def end(deploy, add, clock):
    """``end(cron, *outcomes)``: a run of the cron each minute, and how it ends."""
    runner = None

    def write(name: str, *outcomes: EventType, **options) -> None:
        nonlocal runner
        add(name, schedule="* * * * *", **options)
        runner = deploy()
        for kind in outcomes:
            clock.advance(MINUTE)
            runner.tick()
            fired = CronEvent.objects.filter(cron=name, type="slot_fired").last()
            place = {
                "cron": name,
                "run_id": fired.run_id,
                "version": 0,
                "slot": fired.scheduled_for,
                "attempt": 1,
                "actor": "worker/w",
                "at": clock.now,
                "reason": "",
                "duration_seconds": 1.0,
                "worker": "w",
                "found": "",
            }
            store.append_next([MAKES[kind](**place)])
            runner.tick()

    return write


def test_failures_in_a_row_are_counted_from_the_last_success(end):
    end("report", FAILED, FAILED, SUCCEEDED, FAILED, LOST)
    assert health(max_failures=2).ok
    (problem,) = health(max_failures=1).problems
    assert problem == (
        "Cron 'report': 2 runs failed in a row, the first at 2026-03-02 09:04:30 UTC; the limit is 1."
    )
    assert health(max_failures=1, cron="report").problems == [problem]


def test_one_cron_is_asked_about_alone(end):
    end("report", FAILED, FAILED)
    end("digest", SUCCEEDED)
    assert health(max_failures=0, cron="digest").ok
    assert not health(max_failures=0, cron="report").ok
    with pytest.raises(CommandError, match=r"No cron is named 'digset'\. Did you mean 'digest'"):
        call_command("cron_health", "--cron", "digset")


def test_no_success_for_too_long_is_a_problem_unless_it_is_paused(end, clock):
    end("report", SUCCEEDED, max_age=timedelta(minutes=10))
    clock.advance(9 * MINUTE)
    assert health(max_lag_seconds=9000).ok
    clock.advance(2 * MINUTE)
    (problem,) = health(max_lag_seconds=9000).problems
    assert problem == (
        "Cron 'report': no success for 11 min, the last success was at 2026-03-02 09:01:30 UTC; "
        "the limit is 10 min."
    )
    assert health(max_lag_seconds=9000, max_age=timedelta(hours=1)).ok
    controls.pause("report", by="ann")
    clock.advance(MINUTE)
    assert health(max_lag_seconds=9000).ok
    controls.resume("report", by="ann")
    clock.advance(9 * MINUTE)
    assert health(max_lag_seconds=9000).ok, "what was paused has its time anew"
    clock.advance(2 * MINUTE)
    assert not health(max_lag_seconds=9000).ok


def test_the_limits_of_a_cron_are_in_the_log(end):
    end("report", max_failures=3, max_age=timedelta(hours=25))
    data = CronEvent.objects.get(type="cron_registered").data["definition"]
    assert (data["max_failures"], data["max_age_seconds"]) == (3, 90_000.0)


@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        ("--max-age", "25", "--max-age '25' is not a duration. Give 90s, 30m, 25h or 8d."),
        ("--max-age", "0h", "is not a duration"),
        ("--max-age", "99999999999d", "is not a duration"),
        ("--max-failures", "-1", "--max-failures -1 is negative. Give 0 or more."),
    ],
)
def test_a_limit_that_is_none_is_refused(option: str, value: str, problem: str):
    with pytest.raises(CommandError, match=problem):
        call_command("cron_health", f"{option}={value}")


def test_the_results_of_many_crons_are_one_question(end):
    for number in range(3):
        end(f"report_{number}", SUCCEEDED, FAILED)
    states, _ = states_without_runs()
    with CaptureQueriesContext(store.connection()) as queries:
        problems, _ = result_problems(
            states, GlobalPauses(), clock.now(), Limits(max_failures=0, max_age=MINUTE / 60)
        )
    assert len(problems) == 6
    assert len(queries) == 2


def test_a_cron_that_only_the_code_has_is_told_as_explain_tells_it(deploy, add):
    deploy()
    add("report")
    with pytest.raises(CommandError, match="'report' is in this code, but not registered yet"):
        call_command("cron_health", "--cron", "report")
    with pytest.raises(CommandError, match="'report' is in this code, but not registered yet"):
        call_command("cron_audit", "report")
