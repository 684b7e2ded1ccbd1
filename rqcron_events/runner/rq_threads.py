"""RQ's side of a runner, beside the thread that decides: a Redis that hangs holds up no decision."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence
from datetime import timedelta

from django.db import DatabaseError, InterfaceError

from .. import clock
from ..core.wording import clause
from ..execution.enqueuer import RunRequest
from ..ledger import store
from ..ledger.backend import backend_of
from ..ledger.cron_states import States
from ..process.right_of_way import RightOfWay
from .rq_side import RqSide

__all__ = ["RqThread", "RqThreads"]

log = logging.getLogger(__name__)

REQUESTS_WAITING_MAX = 100_000
"""Beyond it, runs are left to the reconciler, which finds all that are decided and not in Redis."""
SILENT_SECONDS_MAX = 15.0
"""When RQ's side has not come back for so long, it is said."""
IDLE_SECONDS = 10.0
"""It is woken for whatever there is to do."""
BACKOFF_SECONDS_MAX = 5.0
JOIN_SECONDS_MAX = 5.0
REQUESTS_PER_STEP_MAX = 1_000
"""What becomes of so many, at most, is recorded together."""
STEP_SECONDS_MAX = 0.5
"""After that, what Redis took is recorded, whatever else has come due."""
OVERDUE_PER_STEP_MAX = 500
"""What comes due meanwhile waits for so many that are overdue, at most."""
ON_TIME = timedelta(seconds=10)
"""Runs of slots that are not older go first."""
REST_STEPS = 3
"""How many times as long as a step of a pass the thread rests after it, while there is nothing to
repair: many open runs of one cron must not take the interpreter from the thread that decides."""
REST_SECONDS_MAX = 1.0
PUT_OFF_SECONDS_MAX = 1.0
"""A step of a pass gives way for so long."""
STOP_SECONDS = 1.0
"""How long a stop goes on handing over what is overdue; the reconciler of the next one does the rest."""


class RqThread(threading.Thread):
    """Takes runs and passes of one Redis from the deciding thread, and never makes it wait.

    What it records reaches the deciding thread through the log, as everything does.
    """

    def __init__(self, side: RqSide, redis: str, way: RightOfWay) -> None:
        super().__init__(name=f"rqcron-rq {redis}", daemon=True)
        self._side = side
        self._redis = redis
        self._way = way
        self._on_time: deque[RunRequest] = deque()
        self._overdue: deque[RunRequest] = deque()
        self._known: States | None = None
        """The open runs of the last pass, and what was done in it."""
        self._known_of: States | None = None
        """Whose copy that is: the deciding thread's states, until it loads others."""
        self._newer: States | None = None
        """What changed since, for the pass that is asked for."""
        self._under_way = False
        """A pass is."""
        self._wake = threading.Event()
        self._stops_at = float("inf")
        """Monotonic seconds after which a stop leaves what is overdue."""
        self._began_at: float | None = None
        """Monotonic seconds since when one call is under way."""
        self._said = False
        self._failures = 0
        self._forget = False
        self._pass_seconds = 0.0
        """What the last step of a pass took."""
        self._put_off_at: float | None = None
        """Monotonic seconds since when its next step gives way."""

    def forget(self) -> None:
        """Drop what was asked for: the log went back, and may not know these runs any more. Those that
        it does know are found by the next pass."""
        self._forget = True
        self._on_time.clear()
        self._overdue.clear()
        self._wake.set()

    def enqueue(self, requests: Sequence[RunRequest]) -> None:
        """Hand these over as soon as may be, those whose slot has just come first."""
        room = REQUESTS_WAITING_MAX - len(self._on_time) - len(self._overdue)
        since = clock.now() - ON_TIME
        for request in requests[:room]:
            is_overdue = request.slot is not None and request.slot < since
            (self._overdue if is_overdue else self._on_time).append(request)
        self._wake.set()
        if self._on_time:
            self._way.open()

    def reconcile(self, states: States) -> None:
        """Compare the open runs with RQ, in a copy of what this thread does not know yet. Left out
        when the last pass is not through."""
        if not self.takes_a_pass:
            return
        if self._known_of is not states:
            self._known, self._known_of = None, states
        self._newer = states.with_open_runs(self._known.changes if self._known else 0)
        self._wake.set()

    @property
    def takes_a_pass(self) -> bool:
        """The last one is through."""
        return self._newer is None and not self._under_way

    def say_if_silent(self) -> None:
        """Once, when Redis neither answers nor refuses."""
        began_at = self._began_at
        if began_at is None:
            self._said = False
        elif not self._said and clock.monotonic_seconds() - began_at > SILENT_SECONDS_MAX:
            self._said = True
            log.error(
                "Redis (%s) has not answered for %.0f s, nor refused. Decisions go on; jobs follow "
                "when it is back.",
                self._redis,
                clock.monotonic_seconds() - began_at,
                extra={"action": "redis_silent", "redis": self._redis},
            )

    def request_stop(self) -> None:
        """Finish what is under way and on time, and end."""
        self._stops_at = clock.monotonic_seconds() + STOP_SECONDS
        self._wake.set()

    def run(self) -> None:
        db = store.connection()
        backend_of(db).leave_pool(db)  # the deciding thread may hold all of a small one
        try:
            while not self._is_through():
                if self.takes_a_pass and not (self._on_time or self._overdue):
                    self._wake.wait(IDLE_SECONDS)
                    self._wake.clear()
                    continue
                self._give_way()
                self._rest(self._step())
        finally:
            store.connection().close()

    def _give_way(self) -> None:
        """Before a step of a pass, to what is about to be decided; within a bound, because where slots are close
        together there always is something."""
        if self.takes_a_pass or self._overdue:
            return
        now = clock.monotonic_seconds()
        if self._put_off_at is None:
            self._put_off_at = now
        if now - self._put_off_at < PUT_OFF_SECONDS_MAX:
            self._way.give(self._pass_seconds, unless=lambda: bool(self._on_time))

    def _rest(self, seconds: float) -> None:
        """Until there is something to hand over."""
        self._wake.clear()
        if not (self._on_time or self._overdue or self._is_through()):
            self._wake.wait(min(seconds, REST_SECONDS_MAX))

    def _is_through(self) -> bool:
        """It is to stop, and has handed over what it must."""
        if self._stops_at == float("inf") or self._on_time:
            return False
        return not self._overdue or clock.monotonic_seconds() >= self._stops_at

    def _step(self) -> float:
        """Returns how long to rest after it, in seconds."""
        rest = 0.0
        self._began_at = began_at = clock.monotonic_seconds()
        try:
            if self._forget:
                self._forget = False
                self._give_up()
                self._newer = None
            elif self._on_time:
                self._hand_over_on_time()
            elif self._overdue:
                self._side.enqueue(_taken_from(self._overdue, OVERDUE_PER_STEP_MAX))
            elif not self.takes_a_pass:
                self._put_off_at = None
                repaired = self._side.reconcile(self._open_runs())
                self._under_way = self._side.busy
                self._pass_seconds = clock.monotonic_seconds() - began_at
                if self._under_way and not repaired:
                    rest = REST_STEPS * self._pass_seconds
            self._failures = 0
        except BaseException as error:  # SystemExit, too: nobody would notice that the thread ended
            self._began_at = None
            self._fail(error)
        finally:
            self._began_at = None
        return rest

    def _hand_over_on_time(self) -> None:
        """With those that are decided meanwhile, within bounds."""
        ends_at = clock.monotonic_seconds() + STEP_SECONDS_MAX
        first = _taken_from(self._on_time, REQUESTS_PER_STEP_MAX)
        room = REQUESTS_PER_STEP_MAX - len(first)

        def more() -> list[RunRequest]:
            nonlocal room
            if self._forget or clock.monotonic_seconds() >= ends_at:
                return []
            found = _taken_from(self._on_time, room)
            room -= len(found)
            return found

        self._side.enqueue(first, more)

    def _open_runs(self) -> States:
        """Those of the pass that is under way, or that begins now."""
        newer = self._newer
        if newer is not None:
            self._under_way, self._newer = True, None  # in this order: see takes_a_pass
            if self._known is None:
                self._known = newer
            else:
                self._known.take(newer)
        assert self._known is not None
        return self._known

    def _give_up(self) -> None:
        """Drop the rest of the pass that is under way, and what is known; the next one gets all of it.
        While none is, what is known belongs to the deciding thread, which adds to it."""
        self._side.give_up()
        if self._under_way:
            self._known = None
            self._under_way = False

    def _fail(self, error: BaseException) -> None:
        """What was not recorded is found by the next pass, which compares the log with RQ."""
        self._give_up()
        self._failures += 1
        if isinstance(error, DatabaseError | InterfaceError):
            log.warning(
                "What became of runs in RQ cannot be recorded now: %s",
                clause(error),
                extra={"action": "rq_side_waits"},
            )
        else:  # a fault of ours must not end the repair of everything
            log.error("A step of RQ's side failed.", exc_info=error, extra={"action": "rq_failed"})
        store.connection().close()
        self._wake.clear()
        self._wake.wait(min(0.1 * 2 ** min(self._failures, 10), BACKOFF_SECONDS_MAX))


def _taken_from(waiting: deque[RunRequest], most: int) -> list[RunRequest]:
    return [waiting.popleft() for _ in range(min(len(waiting), most))]


class RqThreads:
    """A thread for each Redis, so that one which hangs holds up nothing of the others."""

    def __init__(self, side: RqSide, actor: str, way: RightOfWay) -> None:
        """``side`` is that of the first one, and of the queues that cannot be used."""
        first, *others = side.enqueuer.servers() or [""]
        side.only(first, "")
        self._threads = [RqThread(side, first, way)]
        for redis in others:
            another = RqSide(actor)
            another.only(redis)
            self._threads.append(RqThread(another, redis, way))

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def enqueue(self, requests: Sequence[RunRequest]) -> None:
        """Hand these over as soon as may be; each thread takes what is its own."""
        for thread in self._threads:
            thread.enqueue(requests)

    def forget(self) -> None:
        """Drop what was asked for: the log went back."""
        for thread in self._threads:
            thread.forget()

    def reconcile(self, states: States) -> None:
        """Compare open runs with RQ; each thread that is through with the last pass gets a copy of
        what changed."""
        for thread in self._threads:
            thread.reconcile(states)

    @property
    def takes_a_pass(self) -> bool:
        """Every thread is through with the last one."""
        return all(thread.takes_a_pass for thread in self._threads)

    def say_if_silent(self) -> None:
        for thread in self._threads:
            thread.say_if_silent()

    def stop(self) -> None:
        """End them within a bound: a Redis that hangs must not keep a deploy."""
        for thread in self._threads:
            thread.request_stop()
        until = clock.monotonic_seconds() + JOIN_SECONDS_MAX
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(until - clock.monotonic_seconds(), 0))

    def join(self, seconds_max: float) -> bool:
        """Wait for the end of all; whether they ended."""
        for thread in self._threads:
            thread.join(seconds_max)
        return not any(thread.is_alive() for thread in self._threads)
