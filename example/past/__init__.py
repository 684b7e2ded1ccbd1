"""A past of nine days for the demo: deploys, an outage, a bad deploy, a pause, an edit.

The events are made as real ones are: the code's crons by ``sync``, decisions by ``decide``, people's
actions by the functions that the commands call, runs by ``core.events.make``. Only the clock is set,
and what workers would have done is told instead of done.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID, uuid5

from past.work import BAD_CODE_FOR
from past.world import World
from rqcron_events import clock, pause, resume
from rqcron_events.core.backfill import SlotState
from rqcron_events.core.events import Event, make
from rqcron_events.core.events.make import InCron
from rqcron_events.models import CronEvent
from rqcron_events.operations.backfill import plan_backfill
from rqcron_events.testing import FakeClock

__all__ = ["Past"]

DAYS = 9
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
MONDAY, TUESDAY, WEDNESDAY, THURSDAY = range(4)
NAMESPACE = UUID("c9a4bb0e-2f3e-5b0c-9b6d-8a1f3bb0f6a1")


class Past:
    """What happened until an instant; the same one gives the same past.

    >>> Past(clock.now()).write()  # doctest: +SKIP
    """

    def __init__(self, until: datetime) -> None:
        self.until = until
        self.start = (until - DAYS * DAY).replace(hour=6, minute=0, second=0, microsecond=0)
        self.edit = self.last(MONDAY, 11, 2)
        self.bad_deploy = self.last(TUESDAY, 14, 5)
        self.pause = self.last(WEDNESDAY, 9, 50)
        self.outage = self.last(THURSDAY, 1, 10)
        self.back = self.outage + timedelta(hours=3, minutes=17)
        self.world = World(start=self.start, until=until, bad_deploy=self.bad_deploy)

    def last(self, weekday: int, hour: int, minute: int) -> datetime:
        """The last such instant that is some hours ago; all are within the days of the past."""
        at = self.until.replace(hour=hour, minute=minute, second=0, microsecond=0)
        at -= (at.weekday() - weekday) % 7 * DAY
        return at if self.until - at > 8 * HOUR else at - 7 * DAY

    def write(self) -> None:
        """Into an empty log on SQLite: every happening, and what is done between two of them."""
        with FakeClock(self.start) as fake, self.world.recording(fake):
            for at, happen in sorted(self.happenings(), key=lambda pair: pair[0]):
                self.world.pass_time(at)
                happen()
            self.world.pass_time(self.until)
            self.world.stop()

    def happenings(self) -> list[tuple[datetime, Callable[[], None]]]:
        world = self.world
        rolled_back = self.bad_deploy + BAD_CODE_FOR
        hourly = {"archive_checks": "0 * * * *", "poll_feed": "*/40 * * * *"}
        found = [
            (self.start, lambda: world.deploy(hourly)),
            (self.edit, lambda: world.deploy({})),
            (self.bad_deploy, lambda: world.deploy({"rank_sites": "*/5 * * * *"})),
            (rolled_back, lambda: world.deploy({})),
            (rolled_back + 2 * MINUTE, self.rerun_last_failure),
            (self.pause, self.pause_contacts),
            (self.pause + 3 * HOUR, self.resume_contacts),
            (self.outage, world.fall_silent),
            (self.back, world.come_back),
            (self.back + 31 * MINUTE, self.backfill_contacts),
            (self.back + 48 * MINUTE, self.renew_once_more),
        ]
        # The first deploy may be after some of them: then they are part of no past.
        return [(at, happen) for at, happen in found if at >= self.start]

    # People

    def pause_contacts(self) -> None:
        until = clock.now() + 6 * HOUR
        pause("sync_contacts", reason="the CRM moves to another host", until=until, by="ann")
        self.world.reload("sync_contacts")

    def resume_contacts(self) -> None:
        resume("sync_contacts", reason="moved earlier than planned", by="ann")
        self.world.reload("sync_contacts")

    def rerun_last_failure(self) -> None:
        failed = CronEvent.objects.for_cron("rank_sites").of_type("run_failed").order_by("-id")[0]
        event = make.run_requested(
            run_id=uuid5(NAMESPACE, "rerun"),
            slot=failed.scheduled_for,
            trigger="rerun",
            of=failed.run_id,
            reason="rolled back",
            **self.place("rank_sites", "bob"),
        )
        self.ask(event)

    def backfill_contacts(self) -> None:
        plan = plan_backfill("sync_contacts", self.outage, self.back)
        for item in plan.of_state(SlotState.TO_RUN):
            assert item.run_id is not None
            event = make.run_requested(
                run_id=item.run_id,
                slot=item.slot,
                trigger="backfill",
                definition_version=item.past.definition_version,
                reason="what the outage left out",
                **self.place("sync_contacts", "bob"),
            )
            self.ask(event)

    def renew_once_more(self) -> None:
        event = make.run_requested(
            run_id=uuid5(NAMESPACE, "trigger"),
            slot=None,
            trigger="manual",
            reason="to be sure after the outage",
            **self.place("renew_certificates", "bob"),
        )
        self.ask(event)

    def ask(self, event: Event) -> None:
        """By hand and not by the functions that commands call: those would put jobs into Redis."""
        self.world.append([event])
        self.world.enqueue(self.world.states.crons[event.cron], event)

    def place(self, cron: str, actor: str) -> InCron:
        version = self.world.states.crons[cron].version + 1
        return InCron(cron=cron, version=version, actor=actor, at=clock.now())
