"""What runners keep beside the log: a cache of its fold, the lease, and which events cannot be read."""

from __future__ import annotations

from django.db import models

__all__ = ["CronLease", "CronSnapshot", "QuarantinedEvent"]


class CronSnapshot(models.Model):
    """Folded state, a cache: delete any row, or all, and nothing is lost.

    The row with the empty name holds the position in the log up to which all rows are folded.
    """

    name = models.CharField(max_length=200, primary_key=True)
    position = models.BigIntegerField()
    state = models.JSONField()

    class Meta:
        db_table = "rqcron_snapshot"

    def __str__(self) -> str:
        return f"{self.name or 'head'} at {self.position}"


class CronLease(models.Model):
    """Which runner leads (row ``leader``) and which are alive (a row each). Not a lock."""

    name = models.CharField(max_length=250, primary_key=True)
    holder = models.CharField(max_length=250)
    renewed_at = models.DateTimeField()
    """The database's clock, so that the clocks of two machines are never compared."""

    class Meta:
        db_table = "rqcron_lease"

    def __str__(self) -> str:
        return f"{self.name}: {self.holder or 'free'}"


class QuarantinedEvent(models.Model):
    """An event that one of the log's readers could not read, and went on without.

    It stays here until it can be read, or until somebody accepts it: ``cron_quarantine``.
    """

    id = models.BigAutoField(primary_key=True)
    reader = models.CharField(max_length=100)
    """``runner``, or ``projection:<name>``."""
    event_id = models.BigIntegerField()
    stream = models.CharField(max_length=300)
    cron = models.CharField(max_length=200, default="", blank=True)
    error = models.TextField()
    noticed_at = models.DateTimeField()

    class Meta:
        db_table = "rqcron_quarantine"
        verbose_name = "quarantined event"
        ordering = ("event_id", "reader")
        constraints = (
            models.UniqueConstraint(
                fields=["reader", "event_id"], name="rqcron_quarantine_reader_event"
            ),
        )

    def __str__(self) -> str:
        return f"event {self.event_id} of {self.stream}: {self.error}"
