"""A runner's own events: that it started, that it stopped, that another one was lost."""

from __future__ import annotations

import logging
import os
import socket
from uuid import uuid4

from .. import clock
from ..core.events import EventType, make, runner_stream
from ..ledger import store
from ..registry import Registry
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

    def beat(self, registry: Registry) -> None:
        """Send a heartbeat now and then.

        The first one is ``runner_started``; and so is the one after others had taken this runner
        for lost, as after a freeze.
        """
        if not self.lease.beat():
            return
        event = make.runner_started(
            runner_id=self.id,
            host=socket.gethostname(),
            pid=os.getpid(),
            crons=len(registry.crons),
            registry=fingerprint(registry),
            tzdata=tz_data_version(),
            croniter=croniter_version(),
            actor=self.actor,
            at=clock.now(),
        )
        store.append_next([event])
        log.info("Runner started.", extra={"action": "runner_started", "runner": self.id})

    def stopped(self) -> None:
        event = make.runner_stopped(runner_id=self.id, actor=self.actor, at=clock.now())
        store.append_next([event])
        self.lease.release()
        log.info("Runner stopped.", extra={"action": "runner_stopped", "runner": self.id})

    def record_lost_runners(self) -> None:
        """Say it of each runner that fell silent without a word."""
        for lost in self.lease.lost_runners():
            known = store.readable_stream(runner_stream(lost.id)).events
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
