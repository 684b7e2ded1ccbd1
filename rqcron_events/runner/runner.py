"""Deciding what is due, and enqueuing what was decided. Read ``Runner.tick`` first."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta

from .. import clock
from ..conf import conf
from ..core.cron_state import CronState
from ..core.decide import HeldUp, Limits, decide, next_due
from ..core.downtime import Downtime, DowntimeCause
from ..core.events import Event
from ..execution.enqueuer import RunRequest
from ..leadership.code_version import fingerprint, newer_code_is_alive
from ..leadership.heartbeat import Presence
from ..ledger import store
from ..ledger.cron_states import States
from ..ledger.snapshot import Remembered
from ..process.failpoints import reach
from ..process.gc_pause import collection_paused
from ..process.right_of_way import RightOfWay
from ..registry import registry
from .due_queue import Agenda
from .pace import Pace
from .recovery import recover, recover_unknown_jobs
from .registration import sync
from .rq_side import RqSide
from .rq_threads import RqThreads
from .snapshot_thread import SnapshotThread, save_unless_locked
from .statement_watch import StatementWatch

__all__ = ["Runner"]

log = logging.getLogger(__name__)

SLICE_SECONDS = 0.1
"""How long one slice of a catch-up may take, before what came due meanwhile has its turn."""
FIRST_SLICE_SECONDS = 0.025
"""Of the first one of a tick, whose runs are handed over while the next one is decided."""
DECIDING_SECONDS_MAX = 0.5
"""How long one tick decides, before it looks at its lease and whether it is to stop."""
STANDBY_SECONDS = 1.0
RECONCILE_SECONDS = 5.0
"""How often open runs are compared with RQ."""
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
        self.rq = RqSide(self.actor)
        self.watch = StatementWatch()
        self.way = RightOfWay()
        self.leading = False
        self.behind = False
        """The last tick left slots that are due to the next one."""
        self._agenda = Agenda()
        self._pace = Pace()
        self._synced = True
        self._rq_threads: RqThreads | None = None
        """None: what concerns RQ is done in the deciding thread."""
        self._saver: SnapshotThread | None = None
        """The same for snapshots."""
        self._reconciled_at = 0.0
        self._before: Remembered | None = None
        """What was known before the log went back, until that is dealt with."""
        self._held_up: HeldUp | None = None
        """What kept this runner from deciding until now; forgotten when nothing is due any more."""
        self._saved_at = 0.0

    # The flow

    def tick(self) -> float:
        """One look at the clock: decide, record, enqueue. Returns the seconds until the next."""
        # Who holds the lease for some time yet decides first: its row may be locked.
        if not (self.leading and self.lease.is_fresh) and not self._lead():
            return STANDBY_SECONDS
        if self.states.log_went_back():
            self._take_over()
        self._look_again(self._pace.follow(self.states, self._agenda, self.watch.progress))
        if self.states.accepted:
            self.states.accepted = self._synced = False
        looks_up_at = clock.monotonic_seconds() + DECIDING_SECONDS_MAX
        seconds = SLICE_SECONDS if self._rq_threads is None else FIRST_SLICE_SECONDS
        while self._agenda.is_due(clock.now()) and clock.monotonic_seconds() < looks_up_at:
            self.watch.progress()
            now = clock.now()
            if not self._clock_is_right():  # asked after: it may have been set since the last look
                return STANDBY_SECONDS
            with collection_paused():
                self.enqueue(self._decide_slice(now, seconds))
            seconds = SLICE_SECONDS
        self.behind = self._agenda.is_due(clock.now())
        if not self.behind:
            self._held_up = None
        self._reconcile()
        self._save_snapshot()
        if not self.behind and not self._lead():
            return STANDBY_SECONDS
        if self.states.is_behind or (self._rq_threads is None and self.rq.busy):
            return 0  # after the next look at the clock
        return self._agenda.seconds_until_next(clock.now(), conf().tick_seconds)

    def _decide_slice(self, now: datetime, seconds: float = SLICE_SECONDS) -> list[RunRequest]:
        """Decide for some time and append; what comes back is committed and may be enqueued."""
        limits, ends_at = self._limits(), clock.monotonic_seconds() + seconds
        batches: list[list[Event]] = []
        for name in self._agenda.take(now):
            batches.append(self._decide_one(name, now, limits))
            if clock.monotonic_seconds() >= ends_at:
                break
        if (oldest := self._agenda.take_oldest()) is not None:
            batches.append(self._decide_one(oldest, now, limits))
        result = store.append_batches(batches)
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
            self.states.committed(batch)
            state = self.states.crons[batch[0].cron]
            requests += [
                RunRequest.decided(event, state, now) for event in batch if _is_to_run(state, event)
            ]
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
        """Hand runs to RQ whose decision is committed."""
        if self._rq_threads is not None:
            self._rq_threads.enqueue(requests)
        else:
            self.states.apply(self.rq.enqueue(requests))

    def decide_due(self) -> Iterator[list[RunRequest]]:
        """Register and decide what is due now, without the lease; yields what may be enqueued."""
        self._load()
        sync(registry, self.states, self.actor)
        self._look_again(self.states.crons)
        while self._agenda.is_due(clock.now()):
            yield self._decide_slice(clock.now())

    # Open runs

    def reconcile_all(self) -> None:
        """The whole of it at once, after RQ gave up the jobs of dead workers."""
        self.rq.clean_up_next()
        self._reconciled_at = float("-inf")
        self._reconcile()
        while self.rq.busy:
            self._reconcile()

    def _reconcile(self) -> None:
        """Compare open runs with RQ: a pass every few seconds, in steps that delay no slot."""
        now, beside = clock.monotonic_seconds(), self._rq_threads
        is_due = now - self._reconciled_at >= RECONCILE_SECONDS
        if is_due and (beside is not None or not self.rq.busy):
            self._reconciled_at = now
            self.presence.record_lost_runners()
            if self.states.were_released():
                self._take_over()
                self._synced = False
            if not self._synced:
                self._sync()
            if beside is not None:
                beside.reconcile(self.states)
        if beside is not None:
            beside.say_if_silent()
        elif is_due or self.rq.busy:
            self._look_again(self.rq.reconcile(self.states))

    # Leading

    def _lead(self) -> bool:
        right = self._clock_is_right()
        self.presence.beat(registry)
        if not right:
            return False
        leading = self.lease.hold()
        if leading and not self.leading:
            log.info("This runner leads.", extra={"action": "leading", "runner": self.id})
            self._note_stale_lease()
            self._take_over()
        elif self.leading and not leading:
            log.warning("Another runner leads.", extra={"action": "standby", "runner": self.id})
        self.leading = leading
        return leading

    def _clock_is_right(self) -> bool:
        """Whether this runner may decide by its clock. If not, it leads no more, and a slot that is
        late because of it says so."""
        since = self.presence.skewed_since
        if self.presence.clock_is_right():
            if since is not None:
                self.hold_up(since, DowntimeCause.CLOCK_SKEWED, self.id)
            return True
        if self.lease.held:
            self.lease.step_down()
        self.leading = False
        return False

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
        self._load(self._keep_lease)
        if recover_unknown_jobs(self.states, self.actor):
            self._saved_at = float("-inf")
        self._agenda = Agenda()
        self._look_again(self.states.crons)

    def _load(self, progress: Callable[[], None] | None = None) -> None:
        """Know what the log says; and where it says less than was known, deal with that first."""
        if self._before is None and self.states.log_went_back():
            self._before = self.states.remembered()
        self.states = States.load(progress)
        self._before = self._before or self.states.before
        if self._before is None:
            return
        if self._rq_threads is not None:
            self._rq_threads.forget()
        else:
            self.rq.give_up()
        self._sync()  # crons of which the registration is lost
        recover(self._before, self.states, self.actor)
        self._before = None
        self._saved_at = float("-inf")  # the snapshot may hold what is lost

    def _keep_lease(self) -> None:
        """In between, while a long log is folded."""
        self.watch.progress()
        self.lease.hold()

    def _save_snapshot(self) -> None:
        if self.behind or clock.monotonic_seconds() - self._saved_at < conf().snapshot_seconds:
            return  # decisions go first
        if self._saver is None or self._saver.is_idle:
            self._saved_at = clock.monotonic_seconds()
            if self.leading:
                reach("before_snapshot")
                self.save_snapshot()

    def save_snapshot(self) -> None:
        """Save what is folded, or have it saved beside."""
        if not self.lease.confirm():
            return
        if self._saver is not None:
            self._saver.save(self.states.unsaved())
        else:
            save_unless_locked(self.states.unsaved(), self.lease.confirm)

    def save_snapshot_if_free(self) -> None:
        """The same for one that does not lead, when nobody does: whoever comes next, as the next
        ``cron_run --once``, need not fold the whole log."""
        if self.lease.hold():
            try:
                self.states.follow()
                self.save_snapshot()
            finally:
                self.lease.step_down()

    # When to look at which cron

    def _look_again(self, names: Iterable[str]) -> None:
        for name in names:
            state = self.states.crons.get(name)
            if state is None:
                continue
            if self.states.is_set_aside(name):  # until somebody accepts the event
                self._agenda.set(name, None)
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

    def work_with_rq_beside(self) -> None:
        """From now on, in threads of its own: a Redis that hangs holds up no decision."""
        self._rq_threads = RqThreads(self.rq, self.actor, self.way)
        self._rq_threads.start()

    def save_beside(self) -> None:
        """From now on, save snapshots in a thread of their own."""
        self._saver = SnapshotThread(self.lease.confirm, self.way)
        self._saver.start()

    def start(self) -> None:
        """Load what is known, say hello, and bring the code's crons into the log."""
        self._load()
        right = self._clock_is_right()
        self.presence.beat(registry)
        if right:
            self._sync()
        else:  # a definition would take effect by a clock that is wrong
            self._synced = False

    def _sync(self) -> None:
        """Unless newer code is alive: then later."""
        if newer_code_is_alive(fingerprint(registry), self.id):
            self._synced = False
            return
        self._look_again({event.cron for event in sync(registry, self.states, self.actor)})
        self._synced = True

    def called(self, command: str, started_at: datetime) -> None:
        """Record that this one did what was due, and ended."""
        self.presence.called(command, registry, started_at)

    def stop(self) -> None:
        """Save what is known, and say goodbye. Raises Django's database errors."""
        if self.leading and not self.behind:  # otherwise whoever is next had better go on at once
            with self.watch.watching():
                self.save_snapshot()
        if self._rq_threads is not None:
            self._rq_threads.stop()
        if self._saver is not None:
            self._saver.stop()
        with self.watch.watching():
            self.presence.stopped()

    def fall_back(self) -> None:
        """After a fault: lead no more, so that what was half applied in memory is loaded anew."""
        self.lease.held = False
        self.leading = False
        store.connection().close()


def _is_to_run(state: CronState, event: Event) -> bool:
    """Somebody who decided it before, in a log that is another one, may have had it begun."""
    run = state.open_runs.get(event.run_id) if event.run_id is not None else None
    return run is not None and not run.attempt
