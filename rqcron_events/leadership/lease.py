"""Which runner leads, and which are alive. Saves work; correctness rests on stream versions.

No session lock: those break behind a PgBouncer that pools transactions. Only the database's clock
is compared with itself, so the clocks of machines do not matter.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import OperationalError
from django.db.models import DurationField, ExpressionWrapper, F, Q, QuerySet
from django.db.models.functions import Now

from .. import clock
from ..conf import conf
from ..core.wording import clause
from ..ledger import store
from ..ledger.backend import backend_of
from ..models import CronLease

__all__ = ["LEADER", "Lease", "LostRunner", "beats", "seconds_since_renewal"]

LEADER = "leader"
SILENT_LEASES = 2
"""A runner that is silent for this many lease times is taken for lost."""
FRESH = 2 / 3
"""Of the lease time: who renewed it within that leads, without asking."""
LOCK_SECONDS_MAX = 0.05
"""How long a statement here may wait for a row or table that somebody else holds: what comes due
meanwhile is late by that."""
LOCKED_SECONDS_MAX = 0.001
"""The same for a row that was locked when it was last wanted, so that it makes late once."""

log = logging.getLogger(__name__)


class LeaseLocked(Exception):
    """Somebody else's transaction holds the row, or the table, and does not let go."""


class LostRunner(NamedTuple):
    """A runner that stopped beating without saying goodbye."""

    id: str
    last_heartbeat: datetime


def beats(within_seconds: float) -> Q:
    """Rows of runners that were heard of within this time, by the database's clock.

    A heartbeat in the future is none: the clock was set back, or another server took over, and
    whoever is alive beats again by the new time.
    """
    margin = timedelta(seconds=within_seconds)
    return Q(renewed_at__gte=Now() - margin, renewed_at__lte=Now() + margin)


def seconds_since_renewal(name: str) -> tuple[str, float | None]:
    """The holder of a row and the age of its last heartbeat, by the database's clock; below zero
    when that clock was set back since.

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
    return (row[0], row[1].total_seconds()) if row else ("", None)


class Lease:
    """The leader's row, and one row per runner with its heartbeat."""

    def __init__(self, holder: str) -> None:
        self.holder = holder
        self.held = False
        self.taken_from: LostRunner | None = None
        """Whom the lease was taken from, because it had been silent; None when it was free."""
        self.locked_since: float | None = None
        """Monotonic seconds since when the lease cannot be renewed, because it is locked."""
        self._locked: set[str] = set()
        """The rows that were locked when they were last wanted."""
        self._renewed_at = float("-inf")
        self._beaten_at = float("-inf")

    @property
    def is_fresh(self) -> bool:
        """It was renewed not long ago, so that nobody else can have it."""
        age = clock.monotonic_seconds() - self._renewed_at
        return self.held and age < conf().lease_seconds * FRESH

    def hold(self) -> bool:
        """Take or renew the lease; True while this runner leads.

        A lease that somebody else's transaction holds locked can be neither renewed nor taken by
        anybody. Who leads goes on then, and who stands by takes over once the lease has run out:
        the lease only saves work.
        """
        lease_seconds = conf().lease_seconds
        asked_at = clock.monotonic_seconds()
        if self.held and asked_at - self._renewed_at < lease_seconds / 3:
            return True
        try:
            with self._not_waiting(LEADER):
                self.held = self._take(lease_seconds)
            self.locked_since = None
        except LeaseLocked:
            self.locked_since = self.locked_since or asked_at
            self.held = self.held or self._has_run_out(lease_seconds, asked_at)
        if self.held:
            self._renewed_at = asked_at
        return self.held

    def _take(self, lease_seconds: float) -> bool:
        leader = self._rows().filter(name=LEADER)
        if self.held and leader.filter(holder=self.holder).update(renewed_at=Now()):
            self.taken_from = None
            return True
        before = leader.first()
        # Mine, free, or of a runner that was not heard of for too long.
        open_to_me = Q(holder=self.holder) | Q(holder="") | ~beats(lease_seconds)
        taken = leader.filter(open_to_me).update(holder=self.holder, renewed_at=Now())
        if not taken and before is None:
            _, created = self._rows().get_or_create(
                name=LEADER, defaults={"holder": self.holder, "renewed_at": Now()}
            )
            taken = int(created)
        if not taken:
            return False
        self.taken_from = None
        if before is not None and before.holder not in ("", self.holder):
            self.taken_from = LostRunner(before.holder, before.renewed_at)
        return True

    def _has_run_out(self, lease_seconds: float, now: float) -> bool:
        """Whether nobody renews a lease that is locked: by the row, which can be read while it is
        locked, or by how long the whole table is."""
        try:
            with self._not_waiting(LEADER):
                return not self._rows().filter(beats(lease_seconds), name=LEADER).exists()
        except LeaseLocked:
            return self.locked_since is not None and now - self.locked_since > lease_seconds

    def beat(self) -> bool:
        """Say that this runner is alive; True when nobody knew (any more)."""
        at = clock.monotonic_seconds()
        if at - self._beaten_at < conf().lease_seconds / 3:
            return False
        self._beaten_at = at
        try:
            with self._not_waiting(self.holder):
                if self._rows().filter(name=self.holder).update(renewed_at=Now()):
                    return False
                self._rows().get_or_create(
                    name=self.holder, defaults={"holder": self.holder, "renewed_at": Now()}
                )
        except LeaseLocked:
            return False  # said by who holds the lease; the next beat tries again
        return True

    def lost_runners(self) -> list[LostRunner]:
        """Other runners that have not beaten for too long. Forget each with :meth:`forget`."""
        rows = self._rows().exclude(name__in=[LEADER, self.holder])
        lost = rows.exclude(beats(conf().lease_seconds * SILENT_LEASES))
        return [LostRunner(row.holder, row.renewed_at) for row in lost]

    def alive_runners(self) -> list[str]:
        """Runners whose last heartbeat is not too long ago."""
        rows = self._rows().exclude(name=LEADER).filter(beats(conf().lease_seconds * SILENT_LEASES))
        return list(rows.values_list("name", flat=True))

    def forget(self, runner_id: str) -> None:
        """Unless its row is locked: then somebody finds it again."""
        with suppress(LeaseLocked), self._not_waiting(runner_id):
            self._rows().filter(name=runner_id).delete()

    def confirm(self) -> bool:
        """Renew now, inside the caller's transaction: False when somebody else has taken over, or
        holds the row locked."""
        try:
            with self._not_waiting(LEADER):
                rows = self._rows().filter(name=LEADER, holder=self.holder)
                self.held = bool(rows.update(renewed_at=Now()))
        except LeaseLocked:
            return False
        return self.held

    def step_down(self) -> None:
        """Let a standby take over at once; or once the lease has run out, when it is locked."""
        self.held = False
        with suppress(LeaseLocked), self._not_waiting(LEADER):
            self._rows().filter(name=LEADER, holder=self.holder).update(holder="")

    def release(self) -> None:
        """The end of this runner: step down, and leave no heartbeat."""
        self.step_down()
        self.forget(self.holder)

    @contextmanager
    def _not_waiting(self, row: str) -> Iterator[None]:
        """Nothing in the block, which wants this row, waits long for a lock; LeaseLocked when
        something would."""
        db = store.connection()
        backend = backend_of(db)
        seconds = LOCKED_SECONDS_MAX if row in self._locked else LOCK_SECONDS_MAX
        try:
            with backend.not_waiting(db, seconds):
                yield
            self._locked.discard(row)
        except OperationalError as error:
            if not backend.was_locked(error):
                raise
            self._locked.add(row)
            log.log(
                logging.WARNING if self.locked_since is None else logging.DEBUG,  # once
                "The lease is locked by somebody else's transaction (%s); deciding goes on.",
                clause(error),
                extra={"action": "lease_locked", "runner": self.holder},
            )
            raise LeaseLocked from error

    def _rows(self) -> QuerySet[CronLease]:
        return CronLease.objects.using(conf().database)
