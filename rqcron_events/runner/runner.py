"""The process that decides and enqueues. Read ``Runner.tick`` first."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import DatabaseError, InterfaceError
from redis.exceptions import RedisError

from .. import clock
from ..conf import conf
from ..core.codec import NewerEvent
from ..core.cron_state import CronState
from ..core.decide import HeldUp, Limits, decide, next_due
from ..core.downtime import Downtime, DowntimeCause
from ..core.events import Event
from ..core.wording import clause
from ..execution import spool
from ..execution.enqueuer import Enqueued, Enqueuer, RunRequest
from ..leadership.code_version import fingerprint, newer_code_is_alive
from ..leadership.heartbeat import Presence
from ..ledger import store
from ..ledger.cron_states import States
from ..process.failpoints import reach
from ..process.gc_pause import collection_paused
from ..registry import registry
from .due_queue import Agenda
from .follower_thread import FollowerThread, follow_once
from .reconciler import Reconciler
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
BACKOFF_SECONDS_MAX = 5.0


@dataclass(slots=True)
class Once:
    """What ``cron_run --once`` did."""

    decided: int = 0
    """Runs of slots that fired."""
    waiting: int = 0
    """Runs that are not in Redis, because it did not answer; enqueued the next time."""


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
        self.stopping = threading.Event()
        self._agenda = Agenda()
        self._leading = False
        self._synced = True
        self._redis_away = False
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
                self._enqueue(self._decide(names, now))
        self._held_up = None
        self._reconcile()
        self._save_snapshot()
        if self._draining or not self.reconciler.done:
            return 0  # after the next look at the clock
        return self._agenda.seconds_until_next(clock.now(), conf().tick_seconds)

    def _decide(self, names: list[str], now: datetime) -> list[RunRequest]:
        """Decide and append; what comes back is committed and may be enqueued."""
        # The database takes in the first decisions while the next ones are made.
        result = store.append_batches(self._decisions(sorted(names), now))
        if result.accepted:
            reach("after_decision")
        for batch in result.refused:
            self.states.reload(batch[0].cron)
            self._look_again([batch[0].cron])
        requests: list[RunRequest] = []
        for batch in result.accepted:
            self.states.apply(batch)
            state = self.states.crons[batch[0].cron]
            requests += [_request(state, event) for event in batch if event.run_id is not None]
            self._look_again([state.name])
        return requests

    def _decisions(self, names: list[str], now: datetime) -> Iterator[list[Event]]:
        """What to append for each cron that has something to decide."""
        limits = self._limits()
        for name in names:
            state = self.states.crons[name]
            try:
                decisions = decide(
                    state,
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
                continue
            if decisions.events:
                reach("before_decision")
                yield decisions.events
            elif decisions.waits_for is not None:
                self._agenda.set(name, now + timedelta(seconds=conf().tick_seconds))
            else:
                self._look_again([name])

    def _enqueue(self, requests: list[RunRequest]) -> None:
        for results in self.enqueuer.enqueue(requests):
            self._record_enqueued(results)

    def _record_enqueued(self, results: list[Enqueued]) -> None:
        if results[0].error:
            # Recorded once per outage. The runs stay open, and are enqueued when Redis is back.
            if self._redis_lost(results[0].error):
                store.append_next([result.event(self.actor) for result in results])
            return
        self._redis_found()
        reach("after_enqueue")
        events = [result.event(self.actor) for result in results]
        store.append_next(events)
        reach("after_enqueued")
        self.states.apply(events)

    # Open runs

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
            self._redis_lost(str(error))
            return
        self._redis_found()
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

    def _redis_lost(self, error: str) -> bool:
        """Said once per outage; True when this is its beginning."""
        if self._redis_away:
            return False
        self._redis_away = True
        log.error(
            "Redis cannot be used: %s. Decisions go on; jobs follow when it is back.",
            clause(error),
            extra={"action": "redis_away"},
        )
        return True

    def _redis_found(self) -> None:
        if self._redis_away:
            self._redis_away = False
            log.warning("Redis is back.", extra={"action": "redis_back"})

    # Leading

    def _lead(self) -> bool:
        self.presence.beat(registry)
        leading = self.lease.hold()
        if leading and not self._leading:
            log.info("This runner leads.", extra={"action": "leading", "runner": self.id})
            self._note_stale_lease()
            self._take_over()
        elif self._leading and not leading:
            log.warning("Another runner leads.", extra={"action": "standby", "runner": self.id})
        self._leading = leading
        return leading

    def _note_stale_lease(self) -> None:
        silent = self.lease.taken_from
        if silent is not None and self._held_up is None:
            self._hold_up(silent.last_heartbeat, DowntimeCause.STALE_LEASE, silent.id)

    def _hold_up(self, since: datetime, cause: DowntimeCause, runner: str = "") -> None:
        now = clock.now()
        downtime = Downtime(since, now, cause, runner)
        self._held_up = HeldUp(since=since, until=now, data=downtime.to_data())

    def _take_over(self) -> None:
        self.states = States.load()
        self._agenda = Agenda()
        self._look_again(self.states.crons)

    def _save_snapshot(self) -> None:
        if clock.monotonic_seconds() - self._saved_at < conf().snapshot_seconds:
            return
        self._saved_at = clock.monotonic_seconds()
        if self._leading:
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
            except Exception:  # the same as in _decide: log there, once a minute
                when = clock.now()
            self._agenda.set(name, when)

    def _limits(self) -> Limits:
        settings = conf()
        return Limits(
            catch_up_slots_max=settings.catch_up_slots_max,
            grace=timedelta(seconds=settings.grace_seconds),
        )

    # The process

    def once(self) -> Once:
        """Register, decide and enqueue what is due now.

        It does not wait for the lease: stream versions make it harmless beside a leader.
        """
        done = Once()
        for requests in self.decide_due():
            done.decided += len(requests)
            self._enqueue(requests)
        self._cleaned_at = float("-inf")
        self._reconcile()
        while self._draining or not self.reconciler.done:
            self._reconcile()
        follow_once()
        done.waiting = sum(
            run.enqueued_at is None
            for state in self.states.crons.values()
            for run in state.open_runs.values()
        )
        return done

    def decide_due(self) -> Iterator[list[RunRequest]]:
        """Register and decide what is due now, without the lease; yields what may be enqueued."""
        self.states = States.load()
        sync(registry, self.states, self.actor)
        self._look_again(self.states.crons)
        while names := self._agenda.take(clock.now()):
            yield self._decide(names, clock.now())

    def run(self) -> None:
        """Run until SIGTERM, SIGINT or :meth:`stop`; database outages are waited out."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        followers = FollowerThread(self.stopping)
        started = False
        failures = 0
        away_since: datetime | None = None
        try:
            while not self.stopping.is_set():
                try:
                    if away_since is not None:
                        self._hold_up(away_since, DowntimeCause.DATABASE_AWAY)
                    if not started:
                        self._start()
                        started = True
                        followers.start()
                    seconds = self.tick()
                    followers.active = self._leading
                    if failures:
                        log.warning("The database is back.", extra={"action": "database_back"})
                    failures, away_since = 0, None
                except (DatabaseError, InterfaceError) as error:
                    failures += 1
                    away_since = away_since or clock.now()
                    seconds = self._database_lost(error, failures)
                except NewerEvent as error:
                    failures += 1
                    seconds = self._outdated(error, failures)
                except Exception:  # a fault of ours must not end the schedule of everything
                    failures += 1
                    log.exception("A tick failed.", extra={"action": "tick_failed"})
                    seconds = self._begin_again(failures)
                self.stopping.wait(seconds)
        finally:
            followers.join_quietly()
            if started:
                self._stop()

    def stop(self) -> None:
        self.stopping.set()

    def _on_signal(self, *_: object) -> None:
        self.stop()

    def _start(self) -> None:
        self.states = States.load()
        self.presence.beat(registry)
        self._sync()

    def _sync(self) -> None:
        """Bring the code's crons into the log, unless newer code is alive: then later."""
        self._synced = not newer_code_is_alive(fingerprint(registry), self.id)
        if self._synced:
            names = {event.cron for event in sync(registry, self.states, self.actor)}
            self._look_again(names)

    def _stop(self) -> None:
        try:
            if self._leading:
                self.states.save_snapshot(self.lease.confirm)
            self.presence.stopped()
        except (DatabaseError, InterfaceError) as error:
            log.warning(
                "The runner's end is not recorded: %s",
                error,
                extra={"action": "stop_not_recorded", "runner": self.id},
            )

    def _database_lost(self, error: Exception, failures: int) -> float:
        if failures == 1:
            log.error(
                "The database does not answer: %s. Waiting for it.",
                clause(error),
                extra={"action": "database_away"},
            )
        return self._begin_again(failures)

    def _outdated(self, error: NewerEvent, failures: int) -> float:
        """A rolling deploy of a newer release: its runner shall lead, not this one."""
        if failures == 1:
            log.error("This runner stands by: %s", error, extra={"action": "runner_outdated"})
        with suppress(DatabaseError, InterfaceError):  # then the lease runs out
            self.lease.step_down()
        return self._begin_again(failures)

    def _begin_again(self, failures: int) -> float:
        """Forget what was half applied in memory; returns the seconds to wait."""
        self.lease.held = False
        self._leading = False
        store.connection().close()
        # The exponent is bounded, too: an outage may last for days.
        return float(min(0.1 * 2 ** min(failures, 10), BACKOFF_SECONDS_MAX))


def _request(state: CronState, event: Event) -> RunRequest:
    definition = state.last_definition
    assert definition is not None
    assert event.run_id is not None
    return RunRequest(run_id=event.run_id, definition=definition, slot=event.scheduled_for)
