"""All that a runner does with RQ: handing over runs, and repairing what a crash left open.

``RqSide`` does it in the thread that calls it, for tests and for one pass. ``RqThread`` does it beside
the thread that decides, so that a Redis which hangs holds up no decision.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta

from django.db import DatabaseError, InterfaceError
from redis import Redis
from redis.exceptions import RedisError

from .. import clock
from ..core.events import Event
from ..core.wording import clause
from ..execution import spool
from ..execution.enqueuer import Enqueuer, RunRequest
from ..ledger import store
from ..ledger.backend import backend_of
from ..ledger.cron_states import States
from ..process.failpoints import reach
from .reconciler import Reconciler, never_begun
from .redis_outages import RedisOutages

__all__ = ["RqSide", "RqThread"]

log = logging.getLogger(__name__)

CLEAN_UP_SECONDS = 30.0
"""How often RQ is asked to give up the jobs of dead workers."""
REDIS_SECONDS_MAX = 5.0
"""How long one answer of Redis may take, where the project sets no bound of its own."""
FRESH = timedelta(seconds=5)
"""What was decided longer ago than this is compared with the log before it is handed over."""
PROBE_KEY = "rqcron:probe"
REQUESTS_WAITING_MAX = 100_000
"""Beyond it, runs are left to the reconciler, which finds all that are decided and not in Redis."""
SILENT_SECONDS_MAX = 15.0
"""When RQ's side has not come back for so long, it is said."""
IDLE_SECONDS = 0.5
BACKOFF_SECONDS_MAX = 5.0
JOIN_SECONDS_MAX = 5.0
REQUESTS_PER_STEP_MAX = 500
"""What comes due meanwhile waits for so many that are overdue, at most."""
ON_TIME = timedelta(seconds=10)
"""Runs of slots that are not older go first."""
STOP_SECONDS = 1.0
"""How long a stop goes on handing over what is overdue; the reconciler of the next one does the rest."""


class RqSide:
    """Handing over and repairing, a bounded piece at a time. Raises Django's database errors.

    Of all Redis servers, or of one of them (:meth:`only`).
    """

    def __init__(self, actor: str) -> None:
        self.enqueuer = Enqueuer(seconds_max=REDIS_SECONDS_MAX)
        self.reconciler = Reconciler(self.enqueuer, actor)
        self._actor = actor
        self._only: frozenset[str] | None = None
        self._outages = RedisOutages()
        self._draining = False
        self._cleaned_at = clock.monotonic_seconds()

    def only(self, *servers: str) -> None:
        """From now on, what concerns these servers; the empty string is for queues that cannot be
        used."""
        self._only = frozenset(servers)

    @property
    def busy(self) -> bool:
        """A pass over the open runs is not through yet."""
        return self._draining or not self.reconciler.done

    def enqueue(self, requests: Sequence[RunRequest]) -> list[Event]:
        """Hand runs to RQ whose decision is committed; returns what was recorded of it."""
        recorded: list[Event] = []
        for results in self.enqueuer.enqueue(self._still_to_enqueue(requests)):
            events = [result.event(self._actor) for result in results]
            redis = results[0].redis
            if results[0].is_outage:
                # Recorded once per outage. The runs stay open, and are enqueued when Redis is back.
                self._outages.begins(redis, results[0].error)
                if self._outages.is_news(redis):
                    store.append_next(events)
                    recorded += events
                continue
            if not results[0].error:
                self._outages.ends(redis)
            reach("after_enqueue")
            store.append_next(events)
            reach("after_enqueued")
            recorded += events
        return recorded

    def _still_to_enqueue(self, requests: Sequence[RunRequest]) -> list[RunRequest]:
        """Those that are ours, and were decided just now. What waited, or was held up by a process that
        was frozen, another runner may have handed over: the log is asked."""
        queues = {request.definition.queue for request in requests}
        queues = {queue for queue in queues if self._is_ours(queue)}
        ours = [request for request in requests if request.definition.queue in queues]
        now = clock.now()
        fresh = [r for r in ours if r.decided_at and abs(now - r.decided_at) <= FRESH]
        if len(fresh) == len(ours):
            return ours
        known = {request.run_id for request in fresh}
        return fresh + never_begun(
            [request for request in ours if request.run_id not in known], not_enqueued=True
        )

    def _is_ours(self, queue: str) -> bool:
        return self._only is None or self.enqueuer.redis_of(queue) in self._only

    def reconcile(self, states: States) -> set[str]:
        """The next step of a pass over the open runs; a new pass when there is none.

        Returns the crons whose runs were repaired; ``states`` is folded on. What one Redis does not
        do stops nothing of the others.
        """
        names: set[str] = set()
        if self.reconciler.done:
            self._leave_out_others(states)
            written, away = self._drain_spools(states)
            names |= written
            if not self._draining:  # otherwise more of it, before any repair
                self.reconciler.begin(states, away=away)
        if clock.monotonic_seconds() - self._cleaned_at >= CLEAN_UP_SECONDS:
            self._cleaned_at = clock.monotonic_seconds()
            self.reconciler.clean_up(states)
        findings = self.reconciler.step(states)
        if not self.busy:
            self._tell_of_outages()
        return names | {finding.definition.name for finding in findings}

    def clean_up_next(self) -> None:
        """Ask RQ to give up the jobs of dead workers with the next step, not in half a minute."""
        self._cleaned_at = float("-inf")

    def give_up(self) -> None:
        """Drop the rest of a pass; the next one looks at everything again."""
        self.reconciler.give_up()
        self._draining = False

    def _leave_out_others(self, states: States) -> None:
        if self._only is None:
            return
        for name, state in list(states.crons.items()):
            definition = state.last_definition
            if definition is None or not self._is_ours(definition.queue):
                del states.crons[name]

    def _servers(self) -> dict[str, Redis]:
        servers = self.enqueuer.servers()
        return {key: servers[key] for key in servers if self._only is None or key in self._only}

    def _drain_spools(self, states: States) -> tuple[set[str], dict[str, str]]:
        """Write what workers could not write, before the reconciler asks RQ instead: a part of it.

        Returns the crons that it concerns, and the servers that do not answer, with their words.
        """
        names: set[str] = set()
        away: dict[str, str] = {}
        self._draining = False
        for redis, connection in self._servers().items():
            try:
                written, more_here = spool.drain(connection)
            except RedisError as error:
                away[redis] = str(error)
                continue
            self._draining |= more_here
            states.apply(written)
            names |= {event.cron for event in written}
        return names, away

    def _tell_of_outages(self) -> None:
        """At the end of a pass. A Redis that can be read may still take nothing (it is full, or a
        replica), so one is back when it takes something."""
        for redis, error in self.reconciler.away.items():
            self._outages.begins(redis, error)
        servers = self._servers()
        for redis in self._outages.away - self.reconciler.away.keys():
            with suppress(RedisError):  # then it is still away
                servers[redis].set(PROBE_KEY, "", px=1)
                self._outages.ends(redis)


class RqThread(threading.Thread):
    """Takes runs and passes of one Redis from the deciding thread, and never makes it wait.

    What it records reaches the deciding thread through the log, as everything does.
    """

    def __init__(self, side: RqSide, redis: str) -> None:
        super().__init__(name=f"rqcron-rq {redis}", daemon=True)
        self._side = side
        self._redis = redis
        self._on_time: deque[RunRequest] = deque()
        self._overdue: deque[RunRequest] = deque()
        self._states: States | None = None
        """Of the pass that is under way, or that is asked for."""
        self._wake = threading.Event()
        self._stops_at = float("inf")
        """Monotonic seconds after which a stop leaves what is overdue."""
        self._began_at: float | None = None
        """Monotonic seconds since when one call is under way."""
        self._said = False
        self._failures = 0

    def enqueue(self, requests: Sequence[RunRequest]) -> None:
        """Hand these over as soon as may be, those whose slot has just come first."""
        room = REQUESTS_WAITING_MAX - len(self._on_time) - len(self._overdue)
        since = clock.now() - ON_TIME
        for request in requests[:room]:
            is_overdue = request.slot is not None and request.slot < since
            (self._overdue if is_overdue else self._on_time).append(request)
        self._wake.set()

    def reconcile(self, states: States) -> None:
        """Compare these open runs with RQ; a copy, which is this thread's from now on. Left out
        when the last pass is not through."""
        if self._states is None:
            self._states = states
            self._wake.set()

    @property
    def takes_a_pass(self) -> bool:
        """The last one is through."""
        return self._states is None

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
                if self._states is None and not (self._on_time or self._overdue):
                    self._wake.wait(IDLE_SECONDS)
                    self._wake.clear()
                    continue
                self._step()
        finally:
            store.connection().close()

    def _is_through(self) -> bool:
        """It is to stop, and has handed over what it must."""
        if self._stops_at == float("inf") or self._on_time:
            return False
        return not self._overdue or clock.monotonic_seconds() >= self._stops_at

    def _step(self) -> None:
        self._began_at = clock.monotonic_seconds()
        try:
            waiting = self._on_time or self._overdue
            if waiting:
                count = min(len(waiting), REQUESTS_PER_STEP_MAX)
                self._side.enqueue([waiting.popleft() for _ in range(count)])
            elif self._states is not None:
                self._side.reconcile(self._states)
                if not self._side.busy:
                    self._states = None
            self._failures = 0
        except Exception as error:
            self._began_at = None
            self._fail(error)
        finally:
            self._began_at = None

    def _fail(self, error: Exception) -> None:
        """What was not recorded is found by the next pass, which compares the log with RQ."""
        self._side.give_up()
        self._states = None
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


class RqThreads:
    """A thread for each Redis, so that one which hangs holds up nothing of the others."""

    def __init__(self, side: RqSide, actor: str) -> None:
        """``side`` is that of the first one, and of the queues that cannot be used."""
        first, *others = side.enqueuer.servers() or [""]
        side.only(first, "")
        self._threads = [RqThread(side, first)]
        for redis in others:
            another = RqSide(actor)
            another.only(redis)
            self._threads.append(RqThread(another, redis))

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def enqueue(self, requests: Sequence[RunRequest]) -> None:
        """Hand these over as soon as may be; each thread takes what is its own."""
        for thread in self._threads:
            thread.enqueue(requests)

    def reconcile(self, copy: Callable[[], States]) -> None:
        """Compare open runs with RQ; each thread that is through with the last pass gets a copy."""
        for thread in self._threads:
            if thread.takes_a_pass:
                thread.reconcile(copy())

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
