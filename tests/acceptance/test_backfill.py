"""Backfills by real processes: workers, a command that is stopped, and one that goes on."""

from __future__ import annotations

import io
import json
import signal
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from redis import Redis
from rqcron_projections.models import CronRun
from rqcron_projections.projector import catch_up

from rqcron_events.core.events import Event, EventType, cron_stream
from rqcron_events.ledger import store
from rqcron_events.models import CronEvent
from rqcron_events.operations import backfill as backfill_module
from rqcron_events.operations import controls
from rqcron_events.operations.backfill import plan_backfill
from tests.processes import Project

RANGE = ("archive", "--from", "2026-02-01T00:00:00Z", "--to", "2026-02-07T00:00:00Z")
"""Six slots, from before the cron was registered."""
DAYS = [f"2026-02-0{day}" for day in range(1, 7)]


@pytest.fixture
def registered(project: Project) -> Project:
    assert project.run("cron_run", "--once").returncode == 0
    return project


def requested():
    return CronEvent.objects.of_type("run_requested").filter(cron="archive")


def outcomes():
    return CronEvent.objects.for_cron("archive").outcomes()


def archived() -> list[str]:
    """The days for which the function did its work, in the order of the log."""
    return [
        json.loads(event.data["result"]) for event in outcomes().of_type("run_succeeded").events()
    ]


def backfill(project: Project, *options: str, **environment: str):
    return project.run("cron_backfill", *RANGE, *options, **environment)


def test_a_dry_run_shows_the_slots_and_does_nothing(registered: Project):
    done = backfill(registered, "--dry-run", "--format", "json")
    rows = json.loads(done.stdout)
    assert [row["slot"] for row in rows] == [f"{day}T03:00:00+00:00" for day in DAYS]
    assert {row["state"] for row in rows} == {"to_run"}
    assert all(row["before_registration"] for row in rows)
    assert (
        "archive: 6 slots (6 before it was registered" in backfill(registered, "--dry-run").stdout
    )
    assert not requested().exists()


def test_each_slot_runs_once_in_order_and_is_marked(registered: Project):
    registered.start("rqworker", "default")
    done = backfill(registered, "--reason", "the disk was lost", "--by", "ann")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].endswith("6 to run.")
    assert lines[1].startswith("2026-02-01 03:00:00 UTC  succeeded  run ")
    assert lines[-1] == "6 succeeded."
    assert archived() == DAYS
    first = requested().first()
    assert (first.reason, first.actor) == ("the disk was lost", "ann")
    assert first.data == {"trigger": "backfill", "definition_version": 1}
    catch_up()
    assert set(CronRun.objects.filter(cron="archive").values_list("trigger", flat=True)) == {
        "backfill"
    }
    history = registered.run("cron_history", "archive").stdout
    assert history.count("  backfill  ") == 6
    told = registered.run("cron_explain", "--run", str(first.run_id)).stdout
    assert "was asked for by ann (the disk was lost), trigger backfill" in told

    again = backfill(registered)
    assert "6 left out, a run for them succeeded" in again.stdout
    assert requested().count() == 6


def test_no_more_than_max_parallel_runs_are_open(registered: Project):
    for _ in range(3):
        registered.start("rqworker", "default")
    done = backfill(registered, "--max-parallel", "2", TEST_ARCHIVE_SECONDS="0")
    assert done.returncode == 0, done.stderr
    open_now = most = 0
    for row in CronEvent.objects.for_cron("archive").order_by("id"):
        open_now += (row.type == "run_requested") - (row.type == "run_succeeded")
        most = max(most, open_now)
    assert most == 2
    assert sorted(archived()) == DAYS


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_backfill_that_is_stopped_half_way_goes_on(registered: Project, how: signal.Signals):
    registered.start("rqworker", "default", TEST_ARCHIVE_SECONDS="0.2")
    stopped = registered.start("cron_backfill", *RANGE, "--max-parallel", "2")
    registered.wait_until(lambda: outcomes().count() >= 2)
    stopped.send_signal(how)
    assert stopped.wait(20) == (130 if how == signal.SIGINT else -how)
    if how == signal.SIGINT:
        assert "of 6 runs have ended" in stopped.output
        assert "Traceback" not in stopped.output
    assert requested().count() < 6
    done = backfill(registered)
    assert done.returncode == 0, done.stderr
    assert sorted(archived()) == DAYS
    assert set(Counter(row.scheduled_for for row in requested()).values()) == {1}


def test_a_backfill_killed_before_its_run_was_enqueued_is_repaired_by_the_runner(
    registered: Project, redis_connection: Redis
):
    request_without_job()
    registered.start("cron_worker", "default")
    registered.wait_until(outcomes().exists, 40)
    assert archived() == DAYS[:1]
    repaired = CronEvent.objects.get(type="run_enqueued", cron="archive")
    assert repaired.data["found"] == "no job, never started"


def test_a_backfill_killed_before_its_run_was_enqueued_enqueues_it_when_asked_again(
    registered: Project,
):
    request_without_job()
    registered.start("rqworker", "default")  # and no runner anywhere
    done = backfill(registered)
    assert done.returncode == 0, done.stderr
    assert "1 already in progress" in done.stdout
    assert sorted(archived()) == DAYS
    assert requested().count() == 6


def test_what_failed_is_tried_again_and_what_succeeded_only_under_a_label(registered: Project):
    worker = registered.start("rqworker", "default", TEST_ARCHIVE_FAILS="03")
    failing = backfill(registered)
    assert failing.returncode == 1
    assert "5 succeeded" in failing.stdout
    assert "1 of 6 runs did not succeed; the first: cron_explain --run" in failing.stderr
    worker.stop()
    registered.start("rqworker", "default")
    assert "1 to run; 5 left out" in backfill(registered).stdout
    assert Counter(archived()) == Counter(DAYS)
    for _ in range(2):
        assert backfill(registered, "--again", "v2").returncode == 0
    assert Counter(archived()) == Counter(DAYS * 2)
    assert requested().filter(data__label="v2").count() == 6


def test_two_people_at_once_ask_for_the_same_runs(registered: Project):
    registered.start("rqworker", "default")
    both = [registered.start("cron_backfill", *RANGE, "--max-parallel", "3") for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert sorted(archived()) == DAYS
    assert requested().count() == 6


REFUSED = {
    ("quick", "--from", "1 day ago"): "more than 10,000 slots .* end the first part with --to 2",
    ("archive", "--from", "today", "--to", "tomorrow"): "in the future. End it at",
    ("archive", "--from", "now", "--to", "yesterday"): "The range is empty",
    ("archiv", "--from", "yesterday"): "Did you mean 'archive'",
    ("archive", "--from", "3 days ago", "--max-parallel", "0"): "max_parallel=0 is invalid",
    ("slow", "--from", "1m", "--max-parallel", "2"): "overlap='skip'.* Leave it at 1",
    ("archive", "--from", "3 days ago", "--quiet-max", "0.2"): "Is a worker alive on queue",
    ("archive", "--from", "3 days ago", "--quiet-max", "0"): "quiet_seconds_max=0 is invalid",
    ("archive", "--from", "3 days ago", "--quiet-max", "-5"): "quiet_seconds_max=-5 is invalid",
    ("archive", "--from", "3 days ago", "--quiet-max", "nan"): "quiet_seconds_max=nan is invalid",
}


def test_what_cannot_be_done_is_said_in_one_line_with_the_remedy(registered: Project):
    for arguments, said in REFUSED.items():
        with pytest.raises(CommandError, match=said) as refused:
            call_command("cron_backfill", *arguments, stdout=io.StringIO())
        assert "\n" not in str(refused.value)


def test_a_backfill_without_a_worker_says_once_what_it_waits_for(
    registered: Project, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(backfill_module, "SILENT_SECONDS_MAX", 0.2)
    said = io.StringIO()
    with pytest.raises(CommandError, match="Is a worker alive on queue"):
        call_command(
            "cron_backfill", *RANGE, "--quiet-max", "1.5", stdout=io.StringIO(), stderr=said
        )
    (line,) = said.getvalue().splitlines()
    assert line.startswith("Waiting for 1 run of 'archive': 0 running, 1 in queue 'default', and ")
    assert "since 20" in line
    assert "Ctrl-C stops waiting; the same command continues." in line


def test_slots_that_the_runner_has_still_to_decide_are_left_to_it(registered: Project):
    state = controls.known_state("quick")
    later = state.watermark + timedelta(seconds=3)
    registered.wait_until(lambda: datetime.now(UTC) > later)
    plan = plan_backfill("quick", state.watermark - timedelta(seconds=2), later)
    assert [item.state.value for item in plan.slots][-2:] == ["undecided", "undecided"]


def request_without_job() -> None:
    """What is in the log when a backfill dies right after its first request."""
    item = plan_backfill(
        "archive", datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 2, 2, tzinfo=UTC)
    ).slots[0]
    store.append_next(
        [
            Event(
                stream=cron_stream("archive"),
                version=0,
                type=EventType.RUN_REQUESTED,
                cron="archive",
                run_id=item.run_id,
                scheduled_for=item.slot,
                actor="ann",
                occurred_at=datetime.now(UTC),
                data={"trigger": "backfill", "definition_version": 1},
            )
        ]
    )
