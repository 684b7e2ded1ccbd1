"""Functions that do what nobody should: each run has exactly one outcome, and no other cron feels it."""

from __future__ import annotations

import pytest
from redis import Redis

from rqcron_events.execution.enqueuer import job_id
from rqcron_events.models import CronEvent
from rqcron_events.operations import controls
from tests.processes import Project

WORKERS = (("high", "default"), ("high", "low"), ("high", "low", "default"))
SILENT = "exits_with_zero"
"""The work-horse ends without a word, and for RQ that is a good end: it waits for a heartbeat."""


@pytest.mark.timeout(300)
def test_each_hostile_function_gets_one_outcome_and_a_normal_cron_goes_on(
    project: Project, redis_connection: Redis
):
    project.environment["TEST_APPS"] = "tests.hostile_app"
    assert project.run("cron_run", "--once").returncode == 0
    registered = CronEvent.objects.of_type("cron_registered").exclude(cron="beside")
    hostile = list(registered.values_list("cron", flat=True))
    assert len(hostile) >= 51
    runs = {name: controls.trigger(name) for name in hostile}
    for queues in WORKERS:
        project.start("cron_worker", *queues)
    beside = CronEvent.objects.for_cron("beside")
    project.wait_until(beside.outcomes().exists)
    begun = beside.outcomes().earliest("id").id

    def outcomes():
        return CronEvent.objects.filter(run_id__in=runs.values()).outcomes()

    def all_ended() -> bool:
        _expire_heartbeat(redis_connection, job_id(runs[SILENT]))
        return outcomes().values("run_id").distinct().count() == len(runs)

    project.wait_until(all_ended, 200)
    assert outcomes().count() == len(runs)
    told = {name: outcomes().get(run_id=run_id) for name, run_id in runs.items()}
    for name, event in told.items():
        error = event.data.get("error", {})
        assert len(error.get("type", "").encode()) <= 203, name
        assert len(error.get("message", "").encode()) <= 1_003, name
        assert len(str(event.data).encode()) < 12_000, name
    ends = {name: (event.type, event.reason) for name, event in told.items()}
    assert ends == {name: _expected(name) for name in hostile}
    later = beside.filter(id__gt=begun)
    assert not later.filter(type__in=["slot_missed", "slot_skipped"]).exists()
    assert not later.outcomes().exclude(type="run_succeeded").exists()
    before = later.of_type("run_succeeded").count()
    assert before > 5
    project.wait_until(lambda: later.of_type("run_succeeded").count() >= before + 2, 20)


def _expire_heartbeat(redis_connection: Redis, job: str) -> None:
    """As if the time had passed that RQ waits for a sign of this job's worker."""
    for key in ("rq:wip:default", "rq:wip:low"):
        for member in redis_connection.zrange(key, 0, -1):
            if member.decode().startswith(job):
                redis_connection.delete(f"rq:execution:{member.decode()}")  # expires with them
                redis_connection.zadd(key, {member: 1})


def _expected(name: str) -> tuple[str, str]:
    if name == "declines_without_end":
        return "run_declined", "<DeclineRun that cannot be shown>"
    for reason, names in FAILED.items():
        if name in names.split():
            return "run_failed", reason
    return "run_succeeded", ""


FAILED = {
    "exception": """
        a_deep_group a_hundred_thousand_causes blocks_all_signals breaks_the_log
        cause_never_returns exits exits_with_a_text forgets_modules has_no_memory
        ignores_all_signals leaves_a_transaction_and_raises message_of_100_mb
        message_with_nul_and_half_a_character module_is_a_number name_of_a_megabyte
        name_raises notes_never_return raises_base_exception raises_cancelled
        raises_generator_exit raises_keyboard_interrupt raises_stop_iteration recurses
        result_cannot_be_packed result_is_a_function result_is_a_generator
        result_is_deep ten_causes_never_return text_exits text_is_a_number text_is_odd
        text_never_returns text_of_100_mb text_raises
    """,
    "worker_killed": """
        crashes exits_with_one exits_with_zero kills_itself patches_builtins
        recurses_without_limit terminates_itself
    """,
    "timeout": """
        result_is_without_end takes_too_long
    """,
}
"""By reason. All else succeeds: what the function left behind is no failure of it."""
