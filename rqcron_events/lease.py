"""Which runner leads. Saves work; correctness rests on the versions of streams, not on this."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Q
from django.db.models.functions import Now

from . import clock
from .conf import conf
from .models import CronLease

__all__ = ["Lease"]

NAME = "leader"


class Lease:
    """One row, renewed by the leader. Only the database's clock is compared with itself.

    No session lock: those break behind a PgBouncer that pools transactions.
    """

    def __init__(self, holder: str) -> None:
        self.holder = holder
        self.held = False
        self._renewed_at = 0.0

    def hold(self) -> bool:
        """Take or renew the lease; True while this runner leads."""
        settings = conf()
        fresh = clock.monotonic_seconds() - self._renewed_at < settings.lease_seconds / 3
        if self.held and fresh:
            return True
        self.held = False
        asked_at = clock.monotonic_seconds()
        rows = CronLease.objects.using(settings.database).filter(name=NAME)
        # Mine, free, or silent for too long.
        open_to_me = (
            Q(holder=self.holder)
            | Q(holder="")
            | Q(renewed_at__lt=Now() - timedelta(seconds=settings.lease_seconds))
        )
        taken = rows.filter(open_to_me).update(holder=self.holder, renewed_at=Now())
        if not taken and not rows.exists():
            _, created = CronLease.objects.using(settings.database).get_or_create(
                name=NAME, defaults={"holder": self.holder, "renewed_at": Now()}
            )
            taken = int(created)
        if taken:
            self.held = True
            self._renewed_at = asked_at
        return self.held

    def confirm(self) -> bool:
        """Renew now, inside the caller's transaction: False when somebody else has taken over."""
        rows = CronLease.objects.using(conf().database).filter(name=NAME, holder=self.holder)
        self.held = bool(rows.update(renewed_at=Now()))
        return self.held

    def release(self) -> None:
        """Let a standby take over at once."""
        CronLease.objects.using(conf().database).filter(name=NAME, holder=self.holder).update(
            holder=""
        )
        self.held = False
