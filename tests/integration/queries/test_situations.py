"""Health, list, explain and reconcile say the same about each situation, and none says "fine" when it
is not."""

from __future__ import annotations

import copy
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models.functions import Now
from rq import Retry, SimpleWorker, Worker
from rq.registry import ScheduledJobRegistry
from rq.suspension import suspend

from rqcron_events import DeclineRun
from rqcron_events.core.events import make
from rqcron_events.execution import spool
from rqcron_events.leadership.calls import BURST
from rqcron_events.ledger import store
from rqcron_events.models import CronEvent, CronLease
from rqcron_events.operations import controls
from rqcron_events.queries.health import health
from rqcron_events.registry import BrokenModule, Registry
from rqcron_events.runner.once import once
from rqcron_events.runner.runner import Runner
from rqcron_events.testing import FakeClock
from tests.servers import free_port

MINUTE = timedelta(minutes=1)


@dataclass
class Stage:
    """A project with one cron, and what the test does to it."""

    add: Callable[..., None]
    deploy: Callable[[], Runner]
    clock: FakeClock
    crons: Registry
    worker: Worker
    settings: Any
    runner: Runner = field(init=False)

    @property
    def redis(self) -> Any:
        return self.worker.connection

    def begin(self, function: Any = None, **options: Any) -> None:
        self.add("report", function, **{"schedule": "* * * * *", **options})
        self.runner = self.deploy()

    def run(self, times: int = 1) -> None:
        """Slots come due, and a worker does what they are for."""
        for _ in range(times):
            self.clock.advance(MINUTE)
            self.runner.tick()
            SimpleWorker(["default"], connection=self.redis).work(burst=True)
            self.runner.tick()


@pytest.fixture
def stage(add, deploy, clock, crons, served, settings) -> Stage:
    return Stage(add, deploy, clock, crons, served, settings)


@dataclass
class Situation:
    """What is so, and what each answer says: a pattern, or nothing."""

    name: str
    make: Callable[[Stage], None]
    says: str = ""
    """Of each answer that is not given below."""
    ok: bool = False
    health: str | None = None
    list: str | None = None
    explain: str | None = None
    reconcile: str | None = None
    at: str | None = "09:59"
    """What is explained; None: no ``--at``."""
    status: str = "new"


def nobody_leads(stage: Stage) -> None:
    stage.begin()
    stage.runner.lease.release()


def leader_silent(stage: Stage) -> None:
    stage.begin()
    CronLease.objects.update(renewed_at=Now() - timedelta(hours=1))


def no_worker(stage: Stage) -> None:
    stage.begin()
    stage.worker.register_death()


def silence(stage: Stage) -> None:
    stage.redis.hset(stage.worker.key, "last_heartbeat", "2026-03-02T08:00:00.000000Z")


def worker_died(stage: Stage) -> None:
    stage.begin()
    silence(stage)


def worker_died_beside_another(stage: Stage) -> None:
    worker_died(stage)
    Worker(["default"], connection=stage.redis).register_birth()


def worker_died_at_work(stage: Stage) -> None:
    stage.begin()
    stage.clock.advance(MINUTE)
    stage.runner.tick()
    (run_id,) = CronEvent.objects.of_type("slot_fired").values_list("run_id", flat=True)
    store.append_next(
        [
            make.run_started(
                cron="report",
                run_id=run_id,
                version=0,
                slot=slot("09:01"),
                attempt=1,
                retries_left=0,
                job_created_at="",
                job_enqueued_at="",
                actor=f"worker/{stage.worker.name}",
                at=stage.clock.now,
            )
        ]
    )
    silence(stage)


def suspended(stage: Stage) -> None:
    stage.begin()
    suspend(stage.redis)


def unserved_queue(stage: Stage) -> None:
    stage.begin(queue="high")
    stage.worker.register_death()
    Worker(["default", "low"], connection=stage.redis).register_birth()


def job_waits_for_a_worker(stage: Stage) -> None:
    unserved_queue(stage)
    stage.clock.advance(MINUTE)
    stage.runner.tick()


def retry_overdue(stage: Stage) -> None:
    stage.begin(fails, retry=Retry(max=1, interval=600))
    stage.run()
    key = ScheduledJobRegistry("default", connection=stage.redis).key
    (job,) = stage.redis.zrange(key, 0, -1)
    stage.redis.zadd(key, {job: datetime.now(UTC).timestamp() - 35})


def redis_away(stage: Stage) -> None:
    stage.begin()
    queues = copy.deepcopy(stage.settings.RQ_QUEUES)
    for queue in queues.values():
        queue["URL"] = f"redis://127.0.0.1:{free_port()}/0"
    stage.settings.RQ_QUEUES = queues


def paused(stage: Stage) -> None:
    stage.begin()
    controls.pause("report", reason="the server moves", by="ann")


def paused_twice(stage: Stage) -> None:
    paused(stage)
    stage.clock.advance(timedelta(seconds=5))
    controls.pause("report", reason="lunch", until=stage.clock.now + 2 * MINUTE, by="bob")


def all_paused(stage: Stage) -> None:
    stage.begin()
    controls.pause_all(reason="freeze", by="eve")


def all_paused_twice(stage: Stage) -> None:
    all_paused(stage)
    stage.clock.advance(timedelta(seconds=5))
    controls.pause_all(reason="release", by="bob")


def disabled(stage: Stage) -> None:
    stage.settings.RQCRON_ENABLED = {"report": False}
    stage.begin()


def disabled_and_all_paused(stage: Stage) -> None:
    disabled(stage)
    controls.pause_all(reason="freeze", by="eve")


def retired(stage: Stage) -> None:
    stage.begin()
    stage.run()
    del stage.crons.crons["report"]
    stage.clock.advance(timedelta(seconds=5))
    stage.deploy()
    stage.clock.advance(timedelta(seconds=5))


def broken_module(stage: Stage) -> None:
    stage.begin()
    function = stage.crons.crons.pop("report").definition.function
    module = function.partition(":")[0]
    stage.crons.broken_modules[module] = BrokenModule(module=module, error="ImportError: no mail")


def wrong_options(stage: Stage) -> None:
    stage.begin()
    del stage.crons.crons["report"]
    stage.crons.add("report", lambda: None, {"schedule": "61 * * * *"})


def code_differs(stage: Stage) -> None:
    stage.begin()
    stage.add("report", schedule="*/2 * * * *")


def cron_not_in_code(stage: Stage) -> None:
    stage.begin()
    del stage.crons.crons["report"]


def failing(stage: Stage) -> None:
    stage.begin(fails)
    stage.run(3)


def failing_beyond_its_limit(stage: Stage) -> None:
    stage.begin(fails, max_failures=1)
    stage.run(2)


def too_old(stage: Stage) -> None:
    stage.begin(fails, max_age=timedelta(seconds=90))
    stage.run(2)


def declined(stage: Stage) -> None:
    stage.begin(declines, max_age=timedelta(hours=1))
    stage.run(2)


def definition_without_meaning(stage: Stage) -> None:
    stage.begin()
    data = CronEvent.objects.get(type="cron_registered").data
    _append(stage, {**data, "definition": {**data["definition"], "timezone": "Mars/Olympus"}})


def unreadable(stage: Stage) -> None:
    stage.begin()
    data = CronEvent.objects.get(type="cron_registered").data
    _append(stage, {**data, "definition": {"name": "report", "function": 7}})


def _append(stage: Stage, data: dict[str, Any]) -> None:
    CronEvent(
        stream="cron/report",
        version=2,
        type="cron_changed",
        cron="report",
        actor="runner/x",
        occurred_at=stage.clock.now,
        data={**data, "definition_version": 2, "changes": {}},
    ).save()


def clock_skewed(stage: Stage) -> None:
    stage.begin()
    skewed = make.clock_skewed(
        runner_id=stage.runner.id,
        database_skew_seconds=3600.0,
        skew_seconds_max=10.0,
        actor=stage.runner.actor,
        at=stage.clock.now,
    )
    store.append_next([skewed])


def called(stage: Stage) -> None:
    stage.add("report", schedule="*/10 * * * *")
    for _ in range(3):
        once()
        stage.clock.advance(10 * MINUTE)
    stage.clock.advance(-5 * MINUTE)


def called_no_more(stage: Stage) -> None:
    called(stage)
    stage.clock.advance(timedelta(minutes=19))


def called_in_bursts(stage: Stage) -> None:
    stage.worker.register_death()
    stage.add("report", schedule="*/10 * * * *")
    for _ in range(2):
        once(BURST)
        stage.clock.advance(MINUTE)


def spool_waits(stage: Stage) -> None:
    stage.begin()
    stage.clock.advance(MINUTE)
    stage.runner.tick()
    (run_id,) = CronEvent.objects.of_type("slot_fired").values_list("run_id", flat=True)
    lost = make.run_lost(
        cron="report",
        run_id=run_id,
        version=0,
        slot=slot("09:01"),
        attempt=1,
        reason="",
        duration_seconds=None,
        worker="w",
        actor="worker/w",
        at=stage.clock.now,
        found="",
    )
    spool.push(stage.redis, lost)


def fails() -> None:
    raise ConnectionError("no mail server")


def declines() -> None:
    raise DeclineRun("nothing new")


def slot(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-02T{text}").replace(tzinfo=UTC)


SITUATIONS = [
    Situation("all is well", Stage.begin, ok=True),
    Situation("no runner", nobody_leads, "[Nn]o runner leads"),
    Situation("a silent leader", leader_silent, "has been silent for 36.. s"),
    Situation("no worker", no_worker, "[Nn]o worker serves queue 'default'"),
    Situation("a dead worker", worker_died, r"worker \w+ died, last heartbeat at 2026-03-02 08"),
    Situation(
        "a dead worker beside another",
        worker_died_beside_another,
        ok=True,
        health="fell silent.*other workers serve the queue",
        list="fell silent.*other workers serve the queue",
    ),
    Situation("a worker that died at work", worker_died_at_work, r"worker \w+ died", at="09:01"),
    Situation("workers suspended", suspended, "workers of queue 'default' are suspended"),
    Situation("an unserved queue", unserved_queue, "[Nn]o worker serves queue 'high'"),
    Situation(
        "a job in an unserved queue",
        job_waits_for_a_worker,
        r"[Nn]o worker serves queue 'high' since .* or earlier, and 1 job is waiting",
        at="09:01",
    ),
    Situation(
        "an overdue retry",
        retry_overdue,
        r"retry was due 3\d(\.0)? s ago, and no scheduler serves queue 'default'",
        at="09:01",
    ),
    Situation("Redis away", redis_away, "Redis does not answer"),
    Situation(
        "paused",
        paused,
        r"paused by ann.*\(the server moves\)",
        ok=True,
        reconcile="",
        status="paused",
    ),
    Situation(
        "paused twice",
        paused_twice,
        r"paused by bob.*lunch.*replacing.*ann.*the server moves",
        ok=True,
        reconcile="",
        at="09:02",
        status="paused",
    ),
    Situation(
        "all paused",
        all_paused,
        r"[Aa]ll crons are paused by eve.*\(freeze\)",
        ok=True,
        reconcile="",
        status="paused",
    ),
    Situation(
        "all paused twice",
        all_paused_twice,
        r"[Aa]ll crons are paused by bob.*release.*replacing.*eve.*freeze",
        ok=True,
        reconcile="",
        status="paused",
    ),
    Situation(
        "disabled",
        disabled,
        r"disabled by RQCRON_ENABLED since 2026-03-02 09:00:30",
        ok=True,
        reconcile="",
        status="disabled",
    ),
    Situation(
        "disabled and all paused",
        disabled_and_all_paused,
        r"disabled by RQCRON_ENABLED since 2026-03-02 09:00:30",
        ok=True,
        reconcile="",
        status="disabled",
    ),
    Situation(
        "retired",
        retired,
        ok=True,
        explain="was retired at 2026-03-02 09:01",
        at=None,
        status="retired",
    ),
    Situation("a broken module", broken_module, "does not import: ImportError: no mail"),
    Situation("wrong options", wrong_options, "minute"),
    Situation(
        "other code",
        code_differs,
        r"differs from what is in force: expression '\* .*'\*/2 \* \* \* \*' in this code",
        ok=True,
        reconcile="",
    ),
    Situation(
        "a cron of other code", cron_not_in_code, "code does not have it", ok=True, reconcile=""
    ),
    Situation(
        "failing",
        failing,
        ok=True,
        health="3 runs failed in a row, the first at 2026-03-02 09:01:30 UTC",
        explain="its run failed .*no mail server",
        at="09:03",
        status="failing",
    ),
    Situation(
        "failing beyond its limit",
        failing_beyond_its_limit,
        health="2 runs failed in a row.*the limit is 1",
        explain="its run failed",
        at="09:02",
        status="failing",
    ),
    Situation(
        "no success for too long",
        too_old,
        health="no success for 2 min.*the limit is 1 min 30 s",
        explain="its run failed",
        at="09:02",
        status="failing",
    ),
    Situation(
        "declined", declined, ok=True, explain="found nothing to do", at="09:02", status="idle"
    ),
    Situation(
        "a definition without meaning", definition_without_meaning, "Mars/Olympus", at="09:02"
    ),
    Situation(
        "an event that cannot be read",
        unreadable,
        "cannot be decided",
        explain="cron_quarantine",
        at=None,
    ),
    Situation("a clock that is wrong", clock_skewed, "clock of runner .* is 3,600.0 s ahead"),
    Situation("called now and then", called, ok=True, at="10:10"),
    Situation(
        "called no more",
        called_no_more,
        r"cron_run --once has not been called since .*\(usually every 10 min\)",
        at="10:10",
    ),
    Situation("called in bursts", called_in_bursts, ok=True, at="10:10"),
    Situation(
        "a spool that is not empty",
        spool_waits,
        ok=True,
        health="1 run, recorded while.*waiting in Redis",
    ),
]


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda item: item.name.replace(" ", "_"))
def test_the_answers_agree(situation: Situation, stage: Stage, monkeypatch) -> None:
    situation.make(stage)
    found = health()
    assert found.ok == situation.ok, found.problems
    status, listed = list_answer()
    assert status == situation.status
    answers = {
        "health": " ".join([*found.problems, *found.warnings]),
        "list": listed,
        "explain": explain_answer(situation.at),
        "reconcile": reconcile_answer(),
    }
    for name, answer in answers.items():
        own = getattr(situation, name)
        wanted = situation.says if own is None else own
        assert re.search(wanted, answer), f"{name}: {answer}"
        if not wanted:
            assert answer == "" or name == "explain", f"{name}: {answer}"
            assert "As things stand" not in answer


def list_answer() -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command("cron_list", "--format", "json", stdout=out, stderr=err)
    (row,) = json.loads(out.getvalue())
    table, lines = io.StringIO(), io.StringIO()
    call_command("cron_list", stdout=table, stderr=lines)
    pauses = [line for line in table.getvalue().splitlines() if "paused by " in line]
    assert bool(row["attention"]) == bool(pauses or lines.getvalue()), lines.getvalue()
    assert not (pauses and "paused by " in lines.getvalue()), "it is said twice"
    return row["status"], row["attention"]


def explain_answer(at: str | None) -> str:
    out = io.StringIO()
    asked = ["--at", slot(at).isoformat()] if at else []
    try:
        call_command("cron_explain", "report", "--format", "json", *asked, stdout=out)
    except CommandError as error:
        return str(error)
    return str(json.loads(out.getvalue())["summary"])


def reconcile_answer() -> str:
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("cron_reconcile", "--dry-run", stdout=out, stderr=err)
    except CommandError as error:
        err.write(str(error))
    assert out.getvalue().strip()
    return err.getvalue()
