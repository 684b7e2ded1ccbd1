"""Killed at every step of the flow, one after the other; then clean processes take over.

docs/guarantees.md has the same table in words.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

import pytest
from redis import Redis

from rqcron_events.execution.spool import INDEX_KEY, run_key
from rqcron_events.models import CronEvent
from rqcron_events.operations import controls
from rqcron_events.process.failpoints import FAILPOINTS
from tests.chaos.app import outside
from tests.chaos.evidence import Evidence, jobs_in
from tests.chaos.faults import Fault
from tests.chaos.invariants import violations
from tests.processes import Process, Project

pytestmark = [pytest.mark.timeout(240), pytest.mark.long]

NOWHERE = "postgresql://nobody@127.0.0.1:1/nowhere"
DEATH_SECONDS_MAX = 60
RECOVERY_SECONDS_MAX = 90
AFTERWARDS = 3
"""Slots that have to fire after the clean processes have taken over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A work-horse that is killed at a failpoint, and what becomes of the run."""

    failpoint: str
    cron: str
    outcome: str
    reason: str = ""
    executions: int
    """Rows in the outside table: how often the function did its work."""
    starts: int
    """Of type run_started in the log."""
    refused: int = 0
    database: str = ""
    """Where the first worker looks for the ledger; empty: where it is."""
    worker: str = "rqworker"
    """The first worker. cron_worker has a writer beside it."""


RUNNER_STEPS = (
    "before_decision",
    "after_decision",
    "after_enqueue",
    "after_enqueued",
    "before_snapshot",
    "after_snapshot",
)
REPAIR_STEPS = ("before_repair", "after_repair")
DRAIN_STEPS = ("drain_written",)
KILLED = {"outcome": "run_failed", "reason": "worker_killed"}
AWAY = {"database": NOWHERE}
HORSE_STEPS = (
    Step(failpoint="before_start", cron="once", **KILLED, executions=0, starts=0),
    Step(failpoint="after_start", cron="once", **KILLED, executions=0, starts=1),
    Step(failpoint="before_outcome", cron="once", **KILLED, executions=1, starts=1),
    Step(failpoint="after_outcome", cron="once", outcome="run_succeeded", executions=1, starts=1),
    Step(failpoint="before_start", cron="retried", outcome="run_succeeded", executions=1, starts=1),
    Step(failpoint="after_start", cron="retried", outcome="run_succeeded", executions=1, starts=2),
    Step(
        failpoint="before_outcome", cron="retried", outcome="run_succeeded", executions=2, starts=2
    ),
    Step(
        failpoint="after_outcome",
        cron="retried",
        outcome="run_succeeded",
        executions=1,
        starts=1,
        refused=1,
    ),
    Step(failpoint="before_spool", cron="once", **KILLED, executions=0, starts=0, **AWAY),
    Step(failpoint="after_spool", cron="once", **KILLED, executions=0, starts=1, **AWAY),
    Step(failpoint="before_spool:2", cron="once", **KILLED, executions=1, starts=1, **AWAY),
    Step(
        failpoint="after_spool:2",
        cron="once",
        outcome="run_succeeded",
        executions=1,
        starts=1,
        **AWAY,
    ),
)


# The worker asks for the start before it forks.
HORSE_STEPS_WITH_WRITER = (
    *(
        replace(step, worker="cron_worker", starts=1)
        for step in HORSE_STEPS
        if step.cron == "once" and not step.database
    ),
    Step(
        failpoint="after_ask", cron="once", **KILLED, executions=0, starts=1, worker="cron_worker"
    ),
    Step(
        failpoint="after_ask",
        cron="retried",
        outcome="run_succeeded",
        executions=1,
        starts=2,
        worker="cron_worker",
    ),
    Step(
        failpoint="after_ask:2",
        cron="once",
        outcome="run_succeeded",
        executions=1,
        starts=1,
        worker="cron_worker",
    ),
)
SEAL_STEPS = ("before_seal", "seal_written", "after_seal", "seal_sent")
"""No slot and no run depends on them: tests/acceptance/test_seals.py."""
WORD_STEPS = ("redacting", "redacted", "expiring")
"""Nor on these: tests/acceptance/test_words.py."""
ARCHIVE_STEPS = (
    "segment_written", "segment_verified", "segment_recorded", "rows_removed", "tiles_removed",
)  # fmt: skip
"""Nor on these: tests/acceptance/test_archive.py."""
RESTORE_STEPS = ("restore_written", "restore_committed", "restore_whole")
"""Nor on these: tests/acceptance/test_restore.py."""
WRITER_STEPS = ("writer_asked", "writer_asked:2", "writer_written", "writer_written:2")


def test_every_failpoint_is_exercised_here():
    steps = [step.failpoint for step in (*HORSE_STEPS, *HORSE_STEPS_WITH_WRITER)]
    by_count = {name.partition(":")[0] for name in (*steps, *WRITER_STEPS)}
    steps_of_runner = {*RUNNER_STEPS, *REPAIR_STEPS, *DRAIN_STEPS}
    aside = {*SEAL_STEPS, *WORD_STEPS, *ARCHIVE_STEPS, *RESTORE_STEPS}
    assert steps_of_runner | aside | by_count == FAILPOINTS.keys()


@pytest.fixture
def stage(project: Project, tmp_path: Path) -> Project:
    path = str(tmp_path / "outside.sqlite3")
    outside.create(path)
    project.environment |= {outside.VARIABLE: path, "TEST_APPS": "tests.chaos.steps"}
    return project


@pytest.fixture(scope="module", autouse=True)
def table():
    """Step, process, outcome; seen with ``-s``."""
    lines: list[str] = []
    yield lines
    print("\n" + "\n".join(lines))


@pytest.mark.parametrize("name", RUNNER_STEPS)
def test_a_runner_killed_at_this_step(name: str, stage: Project, redis_connection: Redis, table):
    stage.environment["TEST_APPS"] = "tests.chaos.app"
    dead = stage.start("cron_run", RQCRON_FAILPOINT=name)
    _wait_for_death(stage, dead)
    fired, enqueued, jobs = _position(redis_connection)
    expected = {
        "before_decision": (False, False, False),
        "after_decision": (True, False, False),
        "after_enqueue": (True, False, True),
        "after_enqueued": (True, True, True),
    }.get(name)
    if expected is not None:
        assert (bool(fired), bool(enqueued), bool(jobs)) == expected
    _take_over(stage)
    table.append(f"{name} | runner | {len(fired)} runs open at death, all executed once")
    _end_well(stage, redis_connection)
    executed = [row.run_id for row in outside.read(stage.environment[outside.VARIABLE])]
    assert set(fired) <= set(executed)


@pytest.mark.parametrize("name", REPAIR_STEPS)
def test_a_runner_killed_while_it_repairs(
    name: str, stage: Project, redis_connection: Redis, table
):
    assert stage.run("cron_run", "--once").returncode == 0
    run_id = controls.trigger("once")
    redis_connection.flushdb()
    _wait_for_death(stage, stage.start("cron_run", RQCRON_FAILPOINT=name))
    assert bool(jobs_in(redis_connection)) is (name == "after_repair")
    stage.start("cron_worker", "default", "high")
    assert _outcome(stage, run_id).type == "run_succeeded"
    assert len(_executions(stage, run_id)) == 1
    table.append(f"{name} | runner | the run is executed once, run_succeeded")
    _check(stage, redis_connection)


@pytest.mark.parametrize("name", DRAIN_STEPS)
def test_a_runner_killed_while_it_drains_the_spool(
    name: str, stage: Project, redis_connection: Redis, table
):
    assert stage.run("cron_run", "--once").returncode == 0
    run_id = controls.trigger("once")
    done = stage.run("rqworker", "default", "--burst", DATABASE_URL=NOWHERE)
    assert done.returncode == 0
    assert redis_connection.llen(run_key(run_id)) == 2  # the start and the success
    _wait_for_death(stage, stage.start("cron_run", RQCRON_FAILPOINT=name))
    assert redis_connection.llen(run_key(run_id)) == 2
    stage.start("cron_worker", "default", "high")
    assert _outcome(stage, run_id).type == "run_succeeded"
    stage.wait_until(lambda: redis_connection.zcard(INDEX_KEY) == 0, RECOVERY_SECONDS_MAX)
    spooled = [e.data.get("spooled") for e in CronEvent.objects.filter(stream=f"run/{run_id}")]
    assert len([*filter(None, spooled)]) == len({*filter(None, spooled)}) == 2
    table.append(f"{name} | runner | each spooled event is written once, run_succeeded")
    _check(stage, redis_connection)


@pytest.mark.parametrize(
    "step",
    HORSE_STEPS + HORSE_STEPS_WITH_WRITER,
    ids=lambda step: f"{step.worker}-{step.failpoint}-{step.cron}",
)
def test_a_work_horse_killed_at_this_step(
    step: Step, stage: Project, redis_connection: Redis, table
):
    assert stage.run("cron_run", "--once").returncode == 0
    run_id = controls.trigger(step.cron)
    environment = {"RQCRON_FAILPOINT": step.failpoint}
    if step.database:
        environment["DATABASE_URL"] = step.database
    burst = ["--burst"] if step.worker == "cron_worker" else []  # without its runner
    worker = stage.start(step.worker, "default", "--max-jobs", "1", *burst, **environment)
    stage.wait_until(lambda: worker.poll() is not None, DEATH_SECONDS_MAX)
    assert "signal 9" in worker.output
    stage.start("cron_worker", "default", "high")
    outcome = _outcome(stage, run_id)
    stage.wait_until(lambda: redis_connection.zcard(INDEX_KEY) == 0, RECOVERY_SECONDS_MAX)
    events = CronEvent.objects.filter(stream=f"run/{run_id}")
    refusals = events.of_type("start_refused")
    stage.wait_until(lambda: refusals.count() == step.refused, RECOVERY_SECONDS_MAX)
    assert (outcome.type, outcome.reason) == (step.outcome, step.reason)
    assert len(_executions(stage, run_id)) == step.executions
    assert events.of_type("run_started").count() == step.starts
    killed = [row.pid for row in _executions(stage, run_id)[:1]]
    table.append(
        f"{step.failpoint} | work-horse of {step.cron} | {outcome.type} {outcome.reason}, "
        f"function executed {step.executions} times"
    )
    _check(stage, redis_connection, killed=killed)


@pytest.mark.parametrize("name", WRITER_STEPS)
def test_a_writer_killed_at_this_step(name: str, stage: Project, redis_connection: Redis, table):
    """Its work-horse writes by itself, and knows its own start again."""
    assert stage.run("cron_run", "--once").returncode == 0
    run_id = controls.trigger("once")
    done = stage.run("cron_worker", "default", "--burst", "-v", "2", RQCRON_FAILPOINT=name)
    assert done.returncode == 0
    assert "The writer was not reached" in done.stderr
    events = CronEvent.objects.filter(stream=f"run/{run_id}").order_by("version")
    assert [event.type for event in events] == ["run_enqueued", "run_started", "run_succeeded"]
    assert len(_executions(stage, run_id)) == 1
    assert not redis_connection.exists(INDEX_KEY)
    table.append(f"{name} | writer | run_succeeded, function executed 1 times")
    _check(stage, redis_connection)


def _wait_for_death(stage: Project, process: Process) -> None:
    stage.wait_until(lambda: process.poll() is not None, DEATH_SECONDS_MAX)
    assert process.returncode == -signal.SIGKILL, process.output


def _position(connection: Redis) -> tuple[list[str], list[str], set[str]]:
    """Runs that were fired, that are recorded as enqueued, and that have a job."""
    fired = CronEvent.objects.of_type("slot_fired").values_list("run_id", flat=True)
    enqueued = CronEvent.objects.of_type("run_enqueued").values_list("run_id", flat=True)
    return [*map(str, fired)], [*map(str, enqueued)], set(jobs_in(connection))


def _take_over(stage: Project) -> None:
    last = CronEvent.objects.last().id
    stage.start("cron_worker", "default", "high")
    fired = CronEvent.objects.of_type("slot_fired").filter(id__gt=last)
    stage.wait_until(lambda: fired.count() >= AFTERWARDS, RECOVERY_SECONDS_MAX)


def _end_well(stage: Project, connection: Redis) -> None:
    controls.pause_all(reason="enough")
    decided = CronEvent.objects.of_type("slot_fired", "run_requested")
    stage.wait_until(
        lambda: decided.count() == CronEvent.objects.outcomes().count(), RECOVERY_SECONDS_MAX
    )
    _check(stage, connection)


def _check(stage: Project, connection: Redis, *, killed: list[int] | None = None) -> None:
    """All invariants, from all three places."""
    faults = [
        Fault(kind="kill_horse", target="work-horse", began_at=0, ended_at=1e12, pids=(pid,))
        for pid in killed or ()
    ]
    found = violations(
        Evidence(
            events=list(CronEvent.objects.order_by("id").values()),
            rows=outside.read(stage.environment[outside.VARIABLE]),
            jobs=jobs_in(connection),
            faults=faults,
        )
    )
    assert not found, "\n".join(found)


def _outcome(stage: Project, run_id: UUID) -> CronEvent:
    outcomes = CronEvent.objects.filter(stream=f"run/{run_id}").outcomes()
    stage.wait_until(outcomes.exists, RECOVERY_SECONDS_MAX)
    return outcomes.get()


def _executions(stage: Project, run_id: UUID) -> list[outside.Row]:
    rows = outside.read(stage.environment[outside.VARIABLE])
    return [row for row in rows if row.run_id == str(run_id)]
