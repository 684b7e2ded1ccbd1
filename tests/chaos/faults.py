"""Faults: what each does to the stage, and when it is over."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import psutil
import psycopg

from .stage import Service, Stage

__all__ = ["FAULTS", "Fault", "Faults"]


@dataclass(slots=True, kw_only=True)
class Fault:
    """One fault that happened."""

    kind: str
    target: str
    began_at: float
    """Seconds since the epoch."""
    ended_at: float
    pids: tuple[int, ...] = ()
    """Of the processes that it killed or froze."""

    def overlaps(self, since: float, until: float) -> bool:
        return self.began_at <= until and self.ended_at >= since


@dataclass(slots=True)
class Faults:
    """Strikes the stage; every choice comes from the seed.

    Which process is alive at that moment depends on the machine, so a seed replays the kinds,
    their times and the choices among equals, not every interleaving.
    """

    stage: Stage
    rng: random.Random
    done: list[Fault] = field(default_factory=list)
    _undo: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    _away: set[str] = field(default_factory=set)
    """Parts of the stage that are struck now: database, pooler, clock, and each Redis by its queue."""

    def strike(self, kind: str) -> None:
        """Do it, unless there is nothing that it could strike."""
        began = time.time()
        fault = self.kinds()[kind](self)
        if fault is None:
            return
        target, seconds, pids = fault
        self.done.append(
            Fault(
                kind=kind,
                target=target,
                began_at=began,
                ended_at=time.time() + seconds,
                pids=tuple(pids),
            )
        )

    def kinds(self) -> dict[str, Callable[[Faults], Struck | None]]:
        return FAULTS

    def undo_what_is_over(self, *, all_of_it: bool = False) -> None:
        now = time.time()
        for item in list(self._undo):
            at, undo = item
            if all_of_it or at <= now:
                self._undo.remove(item)
                undo()

    def counts(self) -> Counter[str]:
        return Counter(fault.kind for fault in self.done)

    # Kinds

    def kill_runner(self) -> Struck | None:
        return self._kill("runner", [pid for item in self._services() for pid in item.runners()])

    def kill_horse(self) -> Struck | None:
        return self._kill("work-horse", self._work_horses())

    def kill_followers(self) -> Struck | None:
        """What follows the log beside a runner, and tells others of it."""
        pids = [pid for item in self._services() for pid in item.followers()]
        return self._kill("followers", pids)

    def freeze_followers(self) -> Struck | None:
        pids = [pid for item in self._services() for pid in item.followers()]
        return self._freeze("followers", pids, 1, 10)

    def kill_writer(self) -> Struck | None:
        return self._kill("writer", [pid for item in self._workers() for pid in item.writers()])

    def kill_worker(self) -> Struck | None:
        """Only the worker: its work-horse lives on, its runner notices. A work-horse that is frozen just then
        does not: the kernel hangs up a stopped process group that nobody is left to let go on."""
        workers = self._workers()
        if not workers:
            return None
        worker = self.rng.choice(workers)
        frozen = [pid for pid in worker.work_horses() if _is_frozen(pid)]
        _signal(worker.process.pid, signal.SIGKILL)
        return "worker", 0, (worker.process.pid, *frozen)

    def kill_machine(self) -> Struck | None:
        """The worker with everything that it started, at once."""
        workers = self._workers()
        if not workers:
            return None
        pids = [process.pid for process in self.rng.choice(workers).tree()]
        for pid in pids:
            _signal(pid, signal.SIGKILL)
        return "worker, work-horse and runner", 0, pids

    def freeze_runner(self) -> Struck | None:
        pids = [pid for item in self._services() for pid in item.runners()]
        return self._freeze("runner", pids, 2, 12)

    def freeze_worker(self) -> Struck | None:
        return self._freeze("worker", [item.process.pid for item in self._workers()], 1, 10)

    def freeze_horse(self) -> Struck | None:
        return self._freeze("work-horse", self._work_horses(), 1, 6)

    def freeze_writer(self) -> Struck | None:
        pids = [pid for item in self._workers() for pid in item.writers()]
        return self._freeze("writer", pids, 1, 10)

    def restart_database(self) -> Struck | None:
        return self._stop_database(0, 0.5)

    def stop_database(self) -> Struck | None:
        return self._stop_database(2, 8)

    def fail_over(self) -> Struck | None:
        """A replica that falls behind takes over: all connections end, and commits are lost."""
        if "database" in self._away:
            return None
        self._away.add("database")
        self.stage.database.take_copy()
        seconds = self.rng.uniform(1, 6)

        def swap() -> None:
            self.stage.database.fail_over()
            self._away.discard("database")

        self._undo.append((time.time() + seconds, swap))
        return "database", seconds, ()

    def restart_pooler(self) -> Struck | None:
        return self._stop("pooler", "pooler", self.stage.pooler, 0, 3)

    def restart_redis(self) -> Struck | None:
        return self._stop_redis("default", 0, 0.5)

    def stop_redis(self) -> Struck | None:
        return self._stop_redis("default", 1, 5)

    def stop_second_redis(self) -> Struck | None:
        return self._stop_redis("high", 0, 5)

    def empty_redis(self) -> Struck | None:
        queue = self._some_redis()
        if queue is None:
            return None
        connection = self.stage.servers()[queue].connect()
        connection.flushall()
        connection.close()
        return f"redis of {queue}", 0, ()

    def freeze_redis(self) -> Struck | None:
        """It keeps its connections, and neither answers nor refuses."""
        queue = self._some_redis()
        if queue is None:
            return None
        seconds = self.rng.uniform(2, 15)
        server = self.stage.servers()[queue]
        self._away.add(queue)
        server.freeze()

        def thaw() -> None:
            server.thaw()
            self._away.discard(queue)

        self._undo.append((time.time() + seconds, thaw))
        return f"redis of {queue}", seconds, ()

    def skew_clock(self) -> Struck | None:
        """Of the machine of one runner, by more than what runners decide by."""
        if "clock" in self._away:
            return None
        self._away.add("clock")
        ahead = self.rng.choice([-1, 1]) * self.rng.choice([60, 600, 86_400])
        seconds = self.rng.uniform(2, 12)
        self.stage.clock.set(ahead)

        def set_right() -> None:
            self.stage.clock.set(0)
            self._away.discard("clock")

        self._undo.append((time.time() + seconds, set_right))
        return f"runner, {ahead:+} s", seconds, ()

    def lock_row(self) -> Struck | None:
        """A transaction that somebody left open, or a maintenance command that takes its time."""
        if "database" in self._away:
            return None
        statement = self.rng.choice(LOCKS)
        seconds = self.rng.uniform(2, 15)
        connection = self.stage.database.connect()
        connection.execute("BEGIN")
        connection.execute("SET LOCAL lock_timeout = '2s'")
        try:
            connection.execute(statement)
        except psycopg.Error:
            connection.close()
            return None
        self._undo.append((time.time() + seconds, connection.close))
        return statement, seconds, ()

    # How

    def _services(self) -> list[Service]:
        return self.stage.services

    def _workers(self) -> list[Service]:
        return [
            item
            for item in self.stage.services
            if item.name.startswith("worker") and item.process.poll() is None
        ]

    def _work_horses(self) -> list[int]:
        return [pid for item in self._workers() for pid in item.work_horses()]

    def _kill(self, target: str, pids: list[int]) -> Struck | None:
        if not pids:
            return None
        pid = self.rng.choice(pids)
        _signal(pid, signal.SIGKILL)
        return target, 0, (pid,)

    def _freeze(self, target: str, pids: list[int], low: float, high: float) -> Struck | None:
        if not pids:
            return None
        pid = self.rng.choice(pids)
        seconds = self.rng.uniform(low, high)
        _signal(pid, signal.SIGSTOP)
        self._undo.append((time.time() + seconds, lambda: _signal(pid, signal.SIGCONT)))
        return target, seconds, (pid,)

    def _stop_database(self, low: float, high: float) -> Struck | None:
        return self._stop("database", "database", self.stage.database, low, high)

    def _stop_redis(self, queue: str, low: float, high: float) -> Struck | None:
        return self._stop(queue, f"redis of {queue}", self.stage.servers()[queue], low, high)

    def _some_redis(self) -> str | None:
        there = [queue for queue in self.stage.servers() if queue not in self._away]
        return self.rng.choice(there) if there else None

    def _stop(
        self, key: str, target: str, server: Server, low: float, high: float
    ) -> Struck | None:
        if key in self._away:
            return None
        seconds = self.rng.uniform(low, high)
        self._away.add(key)
        server.stop()

        def start() -> None:
            server.start()
            self._away.discard(key)

        self._undo.append((time.time() + seconds, start))
        return target, seconds, ()


class Server(Protocol):
    """What can be stopped and started."""

    def stop(self) -> None: ...

    def start(self) -> None: ...


LOCKS = (
    "SELECT 1 FROM rqcron_lease WHERE name = 'leader' FOR UPDATE",
    "LOCK TABLE rqcron_lease IN ACCESS EXCLUSIVE MODE",
    "LOCK TABLE rqcron_snapshot IN ACCESS EXCLUSIVE MODE",
    "SELECT 1 FROM rqcron_snapshot FOR UPDATE",
)

Struck = tuple[str, float, "tuple[int, ...] | list[int]"]
"""Target, how many seconds it lasts, and the processes."""

FAULTS: dict[str, Callable[[Faults], Struck | None]] = {
    "kill_runner": Faults.kill_runner,
    "kill_horse": Faults.kill_horse,
    "kill_writer": Faults.kill_writer,
    "kill_worker": Faults.kill_worker,
    "kill_machine": Faults.kill_machine,
    "freeze_runner": Faults.freeze_runner,
    "freeze_worker": Faults.freeze_worker,
    "freeze_horse": Faults.freeze_horse,
    "freeze_writer": Faults.freeze_writer,
    "restart_database": Faults.restart_database,
    "stop_database": Faults.stop_database,
    "restart_redis": Faults.restart_redis,
    "stop_redis": Faults.stop_redis,
    "empty_redis": Faults.empty_redis,
    "freeze_redis": Faults.freeze_redis,
    "stop_second_redis": Faults.stop_second_redis,
    "fail_over": Faults.fail_over,
    "restart_pooler": Faults.restart_pooler,
    "skew_clock": Faults.skew_clock,
    "lock_row": Faults.lock_row,
}


def _is_frozen(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_STOPPED
    except psutil.NoSuchProcess:
        return False


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
    except PermissionError as error:  # the pid belongs to somebody else by now
        raise psutil.NoSuchProcess(pid) from error
