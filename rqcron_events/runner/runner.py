"""Deciding what is due, and enqueuing what was decided. Read ``Runner.tick`` first."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from redis.exceptions import RedisError

from .. import clock
from ..conf import conf
from ..core.cron_state import CronState
from ..core.decide import HeldUp, Limits, decide, next_due
from ..core.downtime import Downtime, DowntimeCause
from ..core.events import Event
from ..execution import spool
from ..execution.enqueuer import Enqueuer, RunRequest
from ..leadership.code_version import fingerprint, newer_code_is_alive
from ..leadership.heartbeat import Presence
from ..ledger import store
from ..ledger.cron_states import States
from ..process.failpoints import reach
from ..process.gc_pause import collection_paused
from ..registry import registry
from .due_queue import Agenda
from .reconciler import Reconciler
from .redis_outage import RedisOutage
from .registration import sync

__all__ = ["Runner"]

log = logging.getLogger(__name__)

ROUNDS_PER_TICK_MAX = 10
"""How often one tick decides again, after conflicts or for long catch-ups, before it looks up."""
STANDBY_SECONDS = 1.0
RECONCILE_SECONDS = 5.0
"""How often open runs are compared with RQ."""
CLEAN_UP_SECONDS = 30.0
"""How often RQ is asked to give up the jobs of dead workers."""
SET_ASIDE = timedelta(seconds=60)
"""A cron that cannot be decided is tried again after this; the others go on."""


class Runner:
    """Decides every due slot, records it, then hands it to RQ.

    Several may run; one leads. Correctness does not depend on which.
    """

    def __init__(self) -> None:
        self.presence = Presence()
        self.id = self.presence.id
        self.actor = self.presence.actor
        self.lease = self.presence.lease
        self.states = States()
        self.enqueuer = Enqueuer()
        self.reconciler = Reconciler(self.enqueuer, self.actor)
        self.leading = False
        self._agenda = Agenda()
        self._synced = True
        self._redis = RedisOutage()
        self._reconciled_at = 0.0
        self._draining = False
        self._held_up: HeldUp | None = None
        """What kept this runner from deciding until now; forgotten after one tick."""
        self._cleaned_at = clock.monotonic_seconds()
        self._saved_at = 0.0

    # The flow

    def tick(self) -> float:
        """One look at the clock: decide, record, enqueue. Returns the seconds until the next."""
        if not self._lead():
            return STANDBY_SECONDS
        self._look_again(self.states.follow())
        for _ in range(ROUNDS_PER_TICK_MAX):
            now = clock.now()
            names = self._agenda.take(now)
            if not names:
                break
            with collection_paused():
                self.enqueue(self._decide(names, now))
        self._held_up = None
        self._reconcile()
        self._save_snapshot()
        if self._draining or not self.reconciler.done:
            return 0  # after the next look at the clock
        return self._agenda.seconds_until_next(clock.now(), conf().tick_seconds)

    def _decide(self, names: list[str], now: datetime) -> list[RunRequest]:
        """Decide and append; what comes back is committed and may be enqueued."""
        limits = self._limits()
        result = store.append_batches([self._decide_one(name, now, limits) for name in names])
        if result.accepted:
            reach("after_decision")
        for batch in result.refused:  # another writer was first: decide again on what it wrote
            self.states.reload(batch[0].cron)
            self._look_again([batch[0].cron])
        for unfit in result.unfit:  # deciding again would give the same
            name = unfit.batch[0].cron
            log.error(
                "The decision of cron %s cannot be written; the others go on. %s",
                name,
                unfit.why,
                extra={"action": "event_refused", "cron": name},
            )
            self._agenda.set(name, now + SET_ASIDE)
        requests: list[RunRequest] = []
        for batch in result.accepted:
            self.states.apply(batch)
            state = self.states.crons[batch[0].cron]
            requests += [_request(state, event) for event in batch if event.run_id is not None]
            self._look_again([state.name])
        return requests

    def _decide_one(self, name: str, now: datetime, limits: Limits) -> list[Event]:
        """What to append for one cron, and otherwise when to look at it again."""
        try:
            decisions = decide(
                self.states.crons[name],
                now,
                all_paused=self.states.all_paused,
                limits=limits,
                actor=self.actor,
                held_up=self._held_up,
            )
        except Exception:  # one cron's bad definition must not stop the others (I10)
            log.exception(
                "Cron %s cannot be decided; the others go on.",
                name,
                extra={"action": "cron_not_decided", "cron": name},
            )
            self._agenda.set(name, now + SET_ASIDE)
            return []
        if decisions.events:
            reach("before_decision")
        elif decisions.waits_for is not None:
            self._agenda.set(name, now + timedelta(seconds=conf().tick_seconds))
        else:
            self._look_again([name])
        return decisions.events

    def enqueue(self, requests: list[RunRequest]) -> None:
        """Hand runs to RQ whose decision is committed, and record that."""
        for results in self.enqueuer.enqueue(requests):
            events = [result.event(self.actor) for result in results]
            if results[0].error:
                # Recorded once per outage. The runs stay open, and are enqueued when Redis is back.
                if self._redis.begins(results[0].error):
                    store.append_next(events)
                continue
            self._redis.ends()
            reach("after_enqueue")
            store.append_next(events)
            reach("after_enqueued")
            self.states.apply(events)

    def decide_due(self) -> Iterator[list[RunRequest]]:
        """Register and decide what is due now, without the lease; yields what may be enqueued."""
        self.states = States.load()
        sync(registry, self.states, self.actor)
        self._look_again(self.states.crons)
        while names := self._agenda.take(clock.now()):
            yield self._decide(names, clock.now())

    # Open runs

    def reconcile_all(self) -> None:
        """The whole of it at once, after RQ gave up the jobs of dead workers."""
        self._cleaned_at = float("-inf")
        self._reconcile()
        while self._draining or not self.reconciler.done:
            self._reconcile()

    def _reconcile(self) -> None:
        """Compare open runs with RQ: a pass every few seconds, in steps that delay no slot."""
        now = clock.monotonic_seconds()
        if self.reconciler.done and not self._draining:
            if now - self._reconciled_at < RECONCILE_SECONDS:
                return
            self._reconciled_at = now
            self.presence.record_lost_runners()
            if not self._synced:
                self._sync()
        try:
            if self.reconciler.done:
                self._draining = self._drain_spools()
                if not self._draining:  # otherwise more of it, before any repair
                    self.reconciler.begin(self.states)
            if now - self._cleaned_at >= CLEAN_UP_SECONDS:
                self._cleaned_at = now
                self.reconciler.clean_up(self.states)
            findings = self.reconciler.step(self.states)
        except RedisError as error:
            self.reconciler.give_up()
            self._draining = False
            self._redis.begins(str(error))
            return
        self._redis.ends()
        self._look_again({finding.definition.name for finding in findings})

    def _drain_spools(self) -> bool:
        """Write what workers could not write, before the reconciler asks RQ instead.

        A part of it, so that no slot is late; True when more waits.
        """
        more = False
        for connection in self.enqueuer.connections():
            written, more_here = spool.drain(connection)
            more |= more_here
            self.states.apply(written)
            self._look_again({event.cron for event in written})
        return more

    # Leading

    def _lead(self) -> bool:
        self.presence.beat(registry)
        leading = self.lease.hold()
        if leading and not self.leading:
            log.info("This runner leads.", extra={"action": "leading", "runner": self.id})
            self._note_stale_lease()
            self._take_over()
        elif self.leading and not leading:
            log.warning("Another runner leads.", extra={"action": "standby", "runner": self.id})
        self.leading = leading
        return leading

    def _note_stale_lease(self) -> None:
        silent = self.lease.taken_from
        if silent is not None and self._held_up is None:
            self.hold_up(silent.last_heartbeat, DowntimeCause.STALE_LEASE, silent.id)

    def hold_up(self, since: datetime, cause: DowntimeCause, runner: str = "") -> None:
        """What is decided next is late because of this; ``runner`` is who fell silent."""
        now = clock.now()
        data = Downtime(since, now, cause, runner).to_data()
        self._held_up = HeldUp(since=since, until=now, data=data)

    def _take_over(self) -> None:
        self.states = States.load()
        self._agenda = Agenda()
        self._look_again(self.states.crons)

    def _save_snapshot(self) -> None:
        if clock.monotonic_seconds() - self._saved_at < conf().snapshot_seconds:
            return
        self._saved_at = clock.monotonic_seconds()
        if self.leading:
            reach("before_snapshot")
            self.states.save_snapshot(self.lease.confirm)
            reach("after_snapshot")

    # When to look at which cron

    def _look_again(self, names: Iterable[str]) -> None:
        for name in names:
            state = self.states.crons.get(name)
            if state is None:
                continue
            try:
                when = next_due(state)
            except Exception:  # the same as in _decide_one: log there, once a minute
                when = clock.now()
            self._agenda.set(name, when)

    def _limits(self) -> Limits:
        settings = conf()
        return Limits(
            catch_up_slots_max=settings.catch_up_slots_max,
            grace=timedelta(seconds=settings.grace_seconds),
        )

    # Beginning and end

    def start(self) -> None:
        """Load what is known, say hello, and bring the code's crons into the log."""
        self.states = States.load()
        self.presence.beat(registry)
        self._sync()

    def _sync(self) -> None:
        """Unless newer code is alive: then later."""
        if newer_code_is_alive(fingerprint(registry), self.id):
            self._synced = False
            return
        self._look_again({event.cron for event in sync(registry, self.states, self.actor)})
        self._synced = True

    def stop(self) -> None:
        """Save what is known, and say goodbye. Raises Django's database errors."""
        if self.leading:
            self.states.save_snapshot(self.lease.confirm)
        self.presence.stopped()

    def fall_back(self) -> None:
        """After a fault: lead no more, so that what was half applied in memory is loaded anew."""
        self.lease.held = False
        self.leading = False
        store.connection().close()


def _request(state: CronState, event: Event) -> RunRequest:
    definition = state.last_definition
    assert definition is not None
    assert event.run_id is not None
    return RunRequest(run_id=event.run_id, definition=definition, slot=event.scheduled_for)
