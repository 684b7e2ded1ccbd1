"""One run under faults: start everything, strike, let it recover, check the invariants."""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass, field, replace

from redis.exceptions import RedisError

from .app import outside
from .evidence import OUTCOMES, Evidence, Job, jobs_in
from .faults import FAULTS, Fault, Faults
from .invariants import violations
from .stage import Stage

__all__ = ["Report", "drill"]

WORKERS = ("default", "high", "default", "high")
"""The queue of each: they are on two servers."""
BEHIND_POOLER = (0, 1)
LOOK_SECONDS = 0.05
JOBS_LOOK_SECONDS = 0.5
WARM_UP_SECONDS_MAX = 60
RECOVERY_SECONDS_MAX = 240
INTERVAL_SECONDS = (0.3, 2.5)
"""Between two faults."""


@dataclass(slots=True, kw_only=True)
class Report:
    """What happened, and what was wrong with it."""

    seed: int
    seconds: float
    recovery_seconds: float
    faults: Counter[str]
    events: Counter[str]
    recoveries: Counter[str]
    """What the reconciler found, and starts that were refused."""
    slots: int
    runs: int
    attempts: int
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [
            f"seed {self.seed}: {self.seconds:.0f} s of faults, recovered in "
            f"{self.recovery_seconds:.0f} s, {self.slots} slots covered, {self.runs} runs, "
            f"{self.attempts} attempts in the outside table",
            f"  faults     {_counts(self.faults)}",
            f"  events     {_counts(self.events)}",
            f"  recoveries {_counts(self.recoveries)}",
        ]
        return "\n".join([*lines, *self.violations])


def drill(seed: int, seconds: float, *, opening: tuple[str, ...] = (), hasten: bool) -> Report:
    """Run under faults for ``seconds``.

    ``opening`` faults come first, in that order. ``hasten`` lets RQ give up dead workers at once
    instead of after its ninety seconds.
    """
    with Stage() as stage:
        pooled = {"DATABASE_URL": f"{stage.pooler.url}?pooler=1"}
        for number, queue in enumerate(WORKERS):
            environment = pooled if number in BEHIND_POOLER else {}
            stage.add(f"worker{number}", "cron_worker", queue, "--name", "{name}", **environment)
        stage.add("runner", "cron_run", **stage.clock.environment)
        jobs: dict[str, Job] = {}
        _warm_up(stage)
        faults = Faults(stage, random.Random(seed))
        _strike(stage, faults, seconds, opening, jobs)
        began = time.time()
        stage.manage("cron_pause", "--all", "--reason", "the drill is over", "--by", "drill")
        _recover(stage, hasten=hasten, jobs=jobs)
        recovered = time.time() - began
        evidence = Evidence(
            events=stage.rows("SELECT * FROM rqcron_event ORDER BY id"),
            rows=outside.read(stage.outside),
            jobs=_look_at_jobs(stage, jobs),
            faults=faults.done,
        )
        found = [*violations(evidence), *_audited(stage)]
        report = _report(seed, seconds, recovered, evidence)
        report.violations = [f"  VIOLATION (seed {seed}) {item}" for item in found]
        if found:
            report.violations += [*map(_fault_line, faults.done), stage.tail_of_logs()]
            report.violations += [f"logs: {stage.keep_logs(seed)}"]
        return report


def _audited(stage: Stage) -> list[str]:
    """What the program itself says: the drill's own checks share no code with it."""
    try:
        stage.manage("cron_audit")
    except RuntimeError as error:
        return [f"cron_audit: {error}"]
    return []


def _warm_up(stage: Stage) -> None:
    """Until every cron has succeeded once."""
    deadline = time.monotonic() + WARM_UP_SECONDS_MAX
    query = "SELECT DISTINCT cron FROM rqcron_event WHERE type = 'run_succeeded'"
    while len(stage.rows(query)) < 5:
        stage.supervise()
        if time.monotonic() > deadline:
            raise RuntimeError(f"The crons do not run.\n{stage.tail_of_logs(60)}")
        time.sleep(LOOK_SECONDS)


def _strike(
    stage: Stage, faults: Faults, seconds: float, opening: tuple[str, ...], jobs: dict[str, Job]
) -> None:
    end = time.monotonic() + seconds
    next_fault = next_look = time.monotonic()
    waiting = list(opening)
    kinds = sorted(FAULTS)
    while (now := time.monotonic()) < end:
        stage.supervise()
        faults.undo_what_is_over()
        if now >= next_look:
            next_look = now + JOBS_LOOK_SECONDS
            _look_at_jobs(stage, jobs)
        if now >= next_fault:
            kind = waiting.pop(0) if waiting else faults.rng.choice(kinds)
            next_fault = now + faults.rng.uniform(*INTERVAL_SECONDS)
            if kind == "empty_redis":
                _look_at_jobs(stage, jobs)
            faults.strike(kind)
        time.sleep(LOOK_SECONDS)
    faults.undo_what_is_over(all_of_it=True)


def _recover(stage: Stage, *, hasten: bool, jobs: dict[str, Job]) -> None:
    """Until every run has its outcome, every work-horse is done, and nothing waits in Redis."""
    deadline = time.monotonic() + RECOVERY_SECONDS_MAX
    quiet = 0
    while quiet < 3:
        stage.supervise()
        orphans = stage.orphans()
        if hasten and not orphans:
            stage.expire_dead_workers()
        waiting = _open_runs(stage)
        quiet = 0 if waiting or orphans else quiet + 1
        if time.monotonic() > deadline:
            return  # the check of I5 names them
        _look_at_jobs(stage, jobs)
        time.sleep(1)


def _open_runs(stage: Stage) -> int:
    query = (
        "SELECT count(*) AS n FROM rqcron_event d WHERE d.type IN ('slot_fired', 'run_requested')"
        " AND NOT EXISTS (SELECT 1 FROM rqcron_event o WHERE o.stream = 'run/' || d.run_id"
        " AND o.type = ANY(%s))"
    )
    return int(stage.rows(query, sorted(OUTCOMES))[0]["n"])


def _look_at_jobs(stage: Stage, jobs: dict[str, Job]) -> dict[str, Job]:
    """Remember every job that RQ has, with what it says about it last."""
    for queue, server in stage.servers().items():
        connection = server.connect()
        try:
            found = jobs_in(connection, queue)
        except RedisError:
            continue  # it is away
        finally:
            connection.close()
        for run_id, before in jobs.items():
            now = found.get(run_id)
            if now is None and before.queue == queue:
                found[run_id] = replace(before, status="")
            elif now is not None and not now.created_at:
                found[run_id] = replace(now, created_at=before.created_at)
        jobs.update(found)
    return jobs


def _report(seed: int, seconds: float, recovered: float, evidence: Evidence) -> Report:
    recoveries: Counter[str] = Counter()
    for event in evidence.events:
        if found := event["data"].get("found"):
            recoveries[f"{event['type']} ({found})"] += 1
        elif event["type"] == "start_refused":
            recoveries[f"start_refused ({event['reason']})"] += 1
        elif "spooled" in event["data"]:
            recoveries["spooled"] += 1
        elif event["reason"] == "worker_killed":
            recoveries[f"{event['type']} (worker_killed, told by RQ)"] += 1
    return Report(
        seed=seed,
        seconds=seconds,
        recovery_seconds=recovered,
        faults=Counter(fault.kind for fault in evidence.faults),
        events=Counter(event["type"] for event in evidence.events),
        recoveries=recoveries,
        slots=sum(len(slots) for slots in evidence.covered().values()),
        runs=len(evidence.decisions()),
        attempts=len(evidence.rows),
    )


def _fault_line(fault: Fault) -> str:
    pids = " ".join(map(str, fault.pids))
    return (
        f"  fault {fault.began_at:.3f} +{fault.ended_at - fault.began_at:.1f} s "
        f"{fault.kind} {fault.target} {pids}"
    )


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items())) or "none"
