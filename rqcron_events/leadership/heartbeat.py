"""A runner's own events: that it started, that it stopped, that another one was lost."""

from __future__ import annotations

import logging
import os
import socket
from datetime import datetime, timedelta
from uuid import uuid4

from .. import clock
from ..conf import conf
from ..core.events import RUNNER_TYPES, Event, EventType, make, runner_stream
from ..core.schedule import READING
from ..ledger import store
from ..registry import Registry
from .clock_skew import ClockSkew, skew_text
from .code_version import fingerprint
from .lease import Lease
from .slot_rules import croniter_version, tz_data_version

__all__ = ["Presence"]

log = logging.getLogger(__name__)


class Presence:
    """Who this runner is, for the log and for the other runners."""

    def __init__(self) -> None:
        self.id = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:6]}"
        self.actor = f"runner/{self.id}"
        self.lease = Lease(self.id)
        self.skew = ClockSkew()
        self.skewed_since: datetime | None = None
        """By the database's clock; None while this runner's agrees with it."""
        self._warned = False

    def clock_is_right(self) -> bool:
        """Whether this runner may decide by its clock; the change is an event.

        Raises Django's database errors.
        """
        bounded = self.skew.is_bounded()
        self._warn_of_skew(bounded)
        if bounded == (self.skewed_since is None):
            return bounded
        seconds, now = self.skew.seconds, self.skew.database_now()
        if bounded:
            assert self.skewed_since is not None
            event = make.clock_agrees(
                runner_id=self.id,
                database_skew_seconds=seconds,
                since=self.skewed_since,
                actor=self.actor,
                at=now,
            )
        else:
            event = make.clock_skewed(
                runner_id=self.id,
                database_skew_seconds=seconds,
                skew_seconds_max=conf().clock_skew_seconds_max,
                actor=self.actor,
                at=now,
            )
        store.append_next([event])
        self.skewed_since = None if bounded else now
        return bounded

    def _warn_of_skew(self, bounded: bool) -> None:
        """Once, until the clocks agree again; what is out of bounds, when that begins and ends."""
        seconds = self.skew.seconds
        differs = abs(seconds) > conf().clock_skew_warning_seconds
        extra = {"action": "clock_skewed", "runner": self.id, "skew_seconds": seconds}
        text = skew_text(seconds, "This runner's clock")
        if not bounded and self.skewed_since is None:
            log.error(
                "%s It decides nothing until they differ by no more than %s s.",
                text,
                conf().clock_skew_seconds_max,
                extra=extra,
            )
        elif bounded and self.skewed_since is not None:
            log.warning(
                "This runner's clock is right again.",
                extra={"action": "clock_agrees", "runner": self.id, "skew_seconds": seconds},
            )
        elif bounded and differs and not self._warned:
            log.warning("%s Check the clocks of both machines.", text, extra=extra)
        self._warned = differs

    def beat(self, registry: Registry) -> None:
        """Send a heartbeat now and then.

        The first one is ``runner_started``; and so is the one after others had taken this runner
        for lost, as after a freeze.
        """
        if not self.lease.beat():
            return
        store.append_next([self._started(registry, self._now())])
        log.info("Runner started.", extra={"action": "runner_started", "runner": self.id})

    def _started(self, registry: Registry, at: datetime, once: str = "") -> Event:
        return make.runner_started(
            runner_id=self.id,
            host=socket.gethostname(),
            pid=os.getpid(),
            crons=len(registry.crons),
            registry=fingerprint(registry),
            tzdata=tz_data_version(),
            croniter=croniter_version(),
            schedule_reading=READING,
            database_skew_seconds=self.skew.seconds,
            once=once,
            actor=self.actor,
            at=at,
        )

    def called(self, command: str, registry: Registry, started_at: datetime) -> None:
        """The end of a call that did what was due. Both events at once: a call that was killed leaves
        none, rather than a runner that seems to be alive."""
        started = self._started(registry, started_at, once=command)
        stopped = make.runner_stopped(runner_id=self.id, actor=self.actor, at=self._now())
        store.append_next([started, stopped])

    def stopped(self) -> None:
        event = make.runner_stopped(runner_id=self.id, actor=self.actor, at=self._now())
        store.append_next([event])
        self.lease.release()
        log.info("Runner stopped.", extra={"action": "runner_stopped", "runner": self.id})

    def _now(self) -> datetime:
        """By this machine's clock, as all events are; by the database's where that is wrong."""
        seconds = self.skew.seconds if self.skewed_since is not None else 0.0
        return clock.now() - timedelta(seconds=seconds)

    def record_lost_runners(self) -> None:
        """Say it of each runner that fell silent without a word."""
        for lost in self.lease.lost_runners():
            told = store.readable_stream(runner_stream(lost.id)).events
            known = [event for event in told if event.type in RUNNER_TYPES]
            if known and known[-1].type is EventType.RUNNER_STARTED:
                event = make.runner_lost(
                    runner_id=lost.id,
                    last_heartbeat=lost.last_heartbeat,
                    actor=self.actor,
                    at=clock.now(),
                )
                store.append_next([event])
                log.warning(
                    "Runner %s was lost; its last heartbeat was at %s.",
                    lost.id,
                    lost.last_heartbeat.isoformat(timespec="seconds"),
                    extra={"action": "runner_lost", "runner": lost.id},
                )
            self.lease.forget(lost.id)
