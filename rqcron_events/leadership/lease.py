"""Which runner leads, and which are alive. Saves work; correctness rests on stream versions.

No session lock: those break behind a PgBouncer that pools transactions. Only the database's clock
is compared with itself, so the clocks of machines do not matter.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import DurationField, ExpressionWrapper, F, Q, QuerySet
from django.db.models.functions import Now

from .. import clock
from ..conf import conf
from ..models import CronLease

__all__ = ["LEADER", "Lease", "LostRunner", "seconds_since_renewal"]

LEADER = "leader"
SILENT_LEASES = 2
"""A runner that is silent for this many lease times is taken for lost."""


class LostRunner(NamedTuple):
    """A runner that stopped beating without saying goodbye."""

    id: str
    last_heartbeat: datetime


def seconds_since_renewal(name: str) -> tuple[str, float | None]:
    """The holder of a row and the age of its last heartbeat, by the database's clock.

    Nobody and None when the row is free or does not exist.
    """
    row = (
        CronLease.objects.using(conf().database)
        .filter(name=name)
        .exclude(holder="")
        .annotate(age=ExpressionWrapper(Now() - F("renewed_at"), output_field=DurationField()))
        .values_list("holder", "age")
        .first()
    )
    return (row[0], max(row[1].total_seconds(), 0)) if row else ("", None)


class Lease:
    """The leader's row, and one row per runner with its heartbeat."""

    def __init__(self, holder: str) -> None:
        self.holder = holder
        self.held = False
        self.taken_from: LostRunner | None = None
        """Whom the lease was taken from, because it had been silent; None when it was free."""
        self._renewed_at = float("-inf")
        self._beaten_at = float("-inf")

    def hold(self) -> bool:
        """Take or renew the lease; True while this runner leads."""
        lease_seconds = conf().lease_seconds
        asked_at = clock.monotonic_seconds()
        if self.held and asked_at - self._renewed_at < lease_seconds / 3:
            return True
        self.held = False
        # Mine, free, or silent for too long.
        open_to_me = (
            Q(holder=self.holder)
            | Q(holder="")
            | Q(renewed_at__lt=Now() - timedelta(seconds=lease_seconds))
        )
        leader = self._rows().filter(name=LEADER)
        before = leader.first()
        taken = leader.filter(open_to_me).update(holder=self.holder, renewed_at=Now())
        if not taken and before is None:
            _, created = self._rows().get_or_create(
                name=LEADER, defaults={"holder": self.holder, "renewed_at": Now()}
            )
            taken = int(created)
        if taken:
            self.taken_from = None
            if before is not None and before.holder not in ("", self.holder):
                self.taken_from = LostRunner(before.holder, before.renewed_at)
            self.held = True
            self._renewed_at = asked_at
        return self.held

    def beat(self) -> bool:
        """Say that this runner is alive; True when nobody knew (any more)."""
        at = clock.monotonic_seconds()
        if at - self._beaten_at < conf().lease_seconds / 3:
            return False
        self._beaten_at = at
        if self._rows().filter(name=self.holder).update(renewed_at=Now()):
            return False
        self._rows().get_or_create(
            name=self.holder, defaults={"holder": self.holder, "renewed_at": Now()}
        )
        return True

    def lost_runners(self) -> list[LostRunner]:
        """Runners that have not beaten for too long. Forget each with :meth:`forget`."""
        silence = timedelta(seconds=conf().lease_seconds * SILENT_LEASES)
        rows = self._rows().exclude(name=LEADER).filter(renewed_at__lt=Now() - silence)
        return [LostRunner(row.holder, row.renewed_at) for row in rows]

    def forget(self, runner_id: str) -> None:
        self._rows().filter(name=runner_id).delete()

    def confirm(self) -> bool:
        """Renew now, inside the caller's transaction: False when somebody else has taken over."""
        rows = self._rows().filter(name=LEADER, holder=self.holder)
        self.held = bool(rows.update(renewed_at=Now()))
        return self.held

    def step_down(self) -> None:
        """Let a standby take over at once."""
        self._rows().filter(name=LEADER, holder=self.holder).update(holder="")
        self.held = False

    def release(self) -> None:
        """The end of this runner: step down, and leave no heartbeat."""
        self.step_down()
        self.forget(self.holder)

    def _rows(self) -> QuerySet[CronLease]:
        return CronLease.objects.using(conf().database)
