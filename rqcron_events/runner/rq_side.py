"""All that a runner does with RQ: handing over runs, and repairing what a crash left open.

In the thread that calls it, for tests and for one pass; ``rq_threads`` do it beside the one that decides.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import timedelta

from redis import Redis
from redis.exceptions import RedisError

from .. import clock
from ..core.events import Event
from ..execution import spool
from ..execution.enqueuer import Enqueuer, RunRequest
from ..ledger import store
from ..ledger.cron_states import States
from ..process.failpoints import reach
from .found import Finding, never_begun
from .reconciler import Reconciler
from .redis_outages import RedisOutages

__all__ = ["RqSide"]

log = logging.getLogger(__name__)

CLEAN_UP_SECONDS = 30.0
"""How often RQ is asked to give up the jobs of dead workers."""
REDIS_SECONDS_MAX = 5.0
"""How long one answer of Redis may take, where the project sets no bound of its own."""
FRESH = timedelta(seconds=5)
"""What was decided longer ago than this is compared with the log before it is handed over."""
PROBE_KEY = "rqcron:probe"
_THROUGH = object()


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
        self._cleaning: Iterator[None] | None = None
        """The rest of a clean-up."""

    def only(self, *servers: str) -> None:
        """From now on, what concerns these servers; the empty string is for queues that cannot be
        used."""
        self._only = self.reconciler.only = frozenset(servers)

    @property
    def busy(self) -> bool:
        """A pass over the open runs, or a clean-up, is not through yet."""
        return self._draining or self._cleaning is not None or not self.reconciler.done

    def enqueue(
        self, requests: Sequence[RunRequest], more: Callable[[], Sequence[RunRequest]] | None = None
    ) -> list[Event]:
        """Hand runs to RQ whose decision is committed, and after them what ``more`` gives as long as it gives
        some; returns what was recorded of it.

        Those that Redis took are recorded together: the next ones need not wait for the database.
        """
        recorded: list[Event] = []
        done: list[Event] = []
        try:
            while requests:
                self._hand_over(requests, recorded, done)
                requests = more() if more is not None else ()
        finally:
            if done:
                store.append_next(done)
                reach("after_enqueued")
        return recorded + done

    def _hand_over(
        self, requests: Sequence[RunRequest], recorded: list[Event], done: list[Event]
    ) -> None:
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
                self.reconciler.seen.note(redis, [result.request.run_id for result in results])
            reach("after_enqueue")
            done += events

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
        begins = self.reconciler.done and self._cleaning is None
        if begins:
            self._leave_out_others(states)
            written, away = self._drain_spools(states)
            names |= written
            if not self._draining:  # otherwise more of it, before any repair
                self.reconciler.begin(states, away=away)
        self._clean_up(states)
        findings: list[Finding] = []
        if begins or not self.reconciler.done:
            findings = self.reconciler.step(states)
        if not self.busy:
            self._tell_of_outages()
        return names | {finding.definition.name for finding in findings}

    def _clean_up(self, states: States) -> None:
        """A piece of it, when it is under way or due."""
        rest, self._cleaning = self._cleaning, None  # it is over when this raises
        if rest is None:
            is_due = clock.monotonic_seconds() - self._cleaned_at >= CLEAN_UP_SECONDS
            if not is_due or self._draining:  # what workers wrote comes first
                return
            rest = self.reconciler.clean_up_in_pieces(states)
        self._cleaned_at = clock.monotonic_seconds()  # at its last piece
        if next(rest, _THROUGH) is not _THROUGH:
            self._cleaning = rest

    def clean_up_next(self) -> None:
        """Ask RQ to give up the jobs of dead workers with the next step, not in half a minute."""
        self._cleaned_at = float("-inf")

    def give_up(self) -> None:
        """Drop the rest of a pass; the next one looks at everything again."""
        self.reconciler.give_up()
        self._draining, self._cleaning = False, None

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
