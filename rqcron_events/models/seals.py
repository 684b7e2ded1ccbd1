"""Signed checkpoints of the log, the tree over its events, who was told, and archived segments."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

__all__ = ["CronSeal", "CronSegment", "CronTile", "SealProgress"]


class CronSeal(models.Model):
    """A signed checkpoint of the log: its first ``size`` events, up to ``last_id``, and their root."""

    size = models.BigIntegerField(primary_key=True)
    previous = models.BigIntegerField(unique=True)
    """The size of the seal before, 0 for none: two processes cannot both go on from there."""
    last_id = models.BigIntegerField(unique=True)
    """Ids have gaps, so this is what tells which events they are."""
    root = models.BinaryField(max_length=32)
    note = models.TextField()
    """The checkpoint, as C2SP tlog-checkpoint says."""
    sealed_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        db_table = "rqcron_seal"
        ordering = ("size",)

    def __str__(self) -> str:
        return f"{self.size} events, to event {self.last_id}"


class CronTile(models.Model):
    """Hashes of the tree over sealed events, so that a proof reads some tiles and not the log."""

    path = models.CharField(max_length=60, primary_key=True)
    """``<level>/<number>``, as C2SP tlog-tiles writes it."""
    hashes = models.BinaryField()
    """One after the other, 256 in a full tile."""

    class Meta:
        db_table = "rqcron_tile"

    def __str__(self) -> str:
        return self.path


class CronSegment(models.Model):
    """A file of sealed events that was written, read back and verified: up to ``last_id``, rows of the log
    may go. The database takes only what is true of the log, and keeps it (see ``ledger``'s triggers)."""

    first = models.BigIntegerField(unique=True)
    """The number of its first event among all, from 0: two processes cannot both go on from there."""
    size = models.BigIntegerField(primary_key=True)
    """The number after its last event: that of a seal."""
    first_id = models.BigIntegerField()
    last_id = models.BigIntegerField(unique=True)
    occurred_from = models.DateTimeField(null=True, blank=True)
    """The earliest ``occurred_at`` of its events, and below the latest: which segment a question needs."""
    occurred_to = models.DateTimeField(null=True, blank=True)
    storage = models.CharField(max_length=100)
    """An alias in STORAGES."""
    path = models.CharField(max_length=300)
    """In the storage, its prefix included."""
    sha256 = models.CharField(max_length=64)
    """Of the file, in hexadecimal."""
    bytes = models.BigIntegerField()
    archived_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        db_table = "rqcron_segment"
        verbose_name = "archived segment"
        ordering = ("size",)

    def __str__(self) -> str:
        return f"{self.path}: events {self.first_id} to {self.last_id}"

    @property
    def events(self) -> int:
        return self.size - self.first


class SealProgress(models.Model):
    """How far sealing, verifying and each receiver of checkpoints got, and what was wrong at last."""

    name = models.CharField(max_length=120, primary_key=True)
    """``sealing``, ``verify``, ``archive``, or ``receiver:<name>``."""
    size = models.BigIntegerField(default=0)
    """How many events of the log are dealt with."""
    at = models.DateTimeField()
    failing_since = models.DateTimeField(null=True, blank=True)
    told = models.TextField(default="", blank=True)
    """What a receiver answered, or what is wrong."""

    class Meta:
        db_table = "rqcron_seal_progress"

    def __str__(self) -> str:
        return f"{self.name}: {self.size}"
