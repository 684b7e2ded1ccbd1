"""The tables: events, the snapshot cache, the lease, which events cannot be read, seals, archived segments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NoReturn, Self
from uuid import UUID

from django.db import models
from django.db.models.functions import Now

from .conf import conf
from .core.codec import check_shape, decode_data, event_type
from .core.events import DECISIONS, OUTCOMES, Event, EventType
from .core.wording import did_you_mean, empty_range_text
from .errors import AppendOnlyError, CronConfigError, UnreadableEvent, check_instant

__all__ = [
    "CronEvent",
    "CronLease",
    "CronSeal",
    "CronSegment",
    "CronSnapshot",
    "CronTile",
    "QuarantinedEvent",
    "SealProgress",
]

_REFUSED = (
    "Events are never {what}: the ledger is append-only. Append an event that corrects it instead."
)
_RUN_ID_EXAMPLE = "9f0b1c8e-6f0a-5d2b-8c57-0f6f2f1d3a41"
PAGE_ROWS = 2_000
_TYPES = [item.value for item in EventType]


class CronEventQuerySet(models.QuerySet["CronEvent"]):
    """The questions that one asks of the log; ``docs/query.md`` has examples."""

    _db: str | None
    """What ``using`` said."""

    @property
    def db(self) -> str:
        """Where the log is: no router is asked, and nobody needs ``using``."""
        return self._db or conf().database

    def for_cron(self, name: str) -> Self:
        """Events of one cron, its runs included."""
        return self.filter(cron=name)

    def for_run(self, run_id: UUID | str) -> Self:
        """Events of one run, the decision or request that created it included.

        Raises CronConfigError, a ValueError, for what is not a whole run id.
        """
        try:
            wanted = run_id if isinstance(run_id, UUID) else UUID(run_id)
        except ValueError:
            raise CronConfigError(
                f"Run id {run_id!r} is invalid: a run id is a UUID of 32 hexadecimal digits, such "
                f"as {_RUN_ID_EXAMPLE}. cron_history NAME lists those of a cron."
            ) from None
        return self.filter(run_id=wanted)

    def of_type(self, *types: str) -> Self:
        """Events of these types, given as ``EventType`` or by their wire names.

        Raises CronConfigError, a ValueError, for a type that does not exist.
        """
        for name in types:
            if name not in _TYPES:
                remedy = did_you_mean(name, _TYPES) or f"Known: {', '.join(_TYPES)}."
                raise CronConfigError(f"Event type {name!r} is unknown. {remedy}")
        return self.filter(type__in=types)

    def between(self, since: datetime | None, until: datetime | None) -> Self:
        """Events with ``since <= occurred_at < until``; None leaves that side open.

        Raises CronConfigError, a ValueError, for times that are naive or the wrong way round.
        """
        for name, value in (("since", since), ("until", until)):
            if value is not None:
                check_instant(name, value)
        if since is not None and until is not None and since > until:
            raise CronConfigError(empty_range_text(since, until))
        found = self
        if since is not None:
            found = found.filter(occurred_at__gte=since)
        if until is not None:
            found = found.filter(occurred_at__lt=until)
        return found

    def decisions(self) -> Self:
        """Fired, skipped and missed slots."""
        return self.filter(type__in=[item.value for item in DECISIONS])

    def outcomes(self) -> Self:
        """The last word on each run."""
        return self.filter(type__in=[item.value for item in OUTCOMES])

    def events(self) -> Iterable[Event]:
        """The rows as core events, upcast, read in pages where they are in the order of their ids.
        Raises as ``CronEvent.to_event``."""
        for row in self._in_pages():
            yield row.to_event()

    def _in_pages(self) -> Iterator[CronEvent]:
        """Without a cursor between two of them: behind a pooler, another client may get its session."""
        if (
            self.query.is_sliced
            or not self.query.standard_ordering
            or (self.query.order_by or ("id",)) != ("id",)
        ):
            yield from self.all()
            return
        in_order = found = self.order_by("id")
        while rows := list(found[:PAGE_ROWS]):
            yield from rows
            if len(rows) < PAGE_ROWS:
                return
            found = in_order.filter(id__gt=rows[-1].id)

    def update(self, **kwargs: Any) -> NoReturn:
        raise AppendOnlyError(_REFUSED.format(what="updated"))

    def delete(self) -> NoReturn:
        raise AppendOnlyError(_REFUSED.format(what="deleted"))


class CronEvent(models.Model):
    """One immutable fact; see ``core.events`` for the meaning of each column."""

    id = models.BigAutoField(primary_key=True)
    stream = models.CharField(max_length=300)
    version = models.IntegerField()
    type = models.CharField(max_length=40)
    schema_version = models.SmallIntegerField(default=1)
    cron = models.CharField(max_length=200, default="", blank=True)
    run_id = models.UUIDField(null=True, blank=True)
    attempt = models.IntegerField(null=True, blank=True)
    scheduled_for = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(default="", blank=True)
    actor = models.CharField(max_length=200, default="", blank=True)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField(db_default=Now(), editable=False)
    data = models.JSONField(default=dict, blank=True)

    objects = CronEventQuerySet.as_manager()

    class Meta:
        db_table = "rqcron_event"
        verbose_name = "cron event"
        ordering = ("id",)
        constraints = (
            # The arbiter: two writers that read the same state cannot both append to it.
            models.UniqueConstraint(
                fields=["stream", "version"], name="rqcron_event_stream_version"
            ),
        )
        indexes = (
            models.Index(fields=["cron", "occurred_at"], name="rqcron_event_cron"),
            models.Index(fields=["occurred_at"], name="rqcron_event_occurred"),
            # Rare types, and those that never occurred. What every run has is found without an
            # index, and so the runner's batches do not pay for this one.
            models.Index(
                fields=["type", "occurred_at"],
                name="rqcron_event_type",
                condition=~models.Q(type__in=["slot_fired", "run_enqueued", "run_started"]),
            ),
            models.Index(
                fields=["cron", "scheduled_for"],
                name="rqcron_event_decision",
                condition=models.Q(
                    type__in=["slot_fired", "slot_skipped", "slot_missed", "run_requested"]
                ),
            ),
            models.Index(
                fields=["cron", "id"],
                name="rqcron_event_definition",
                condition=models.Q(
                    type__in=[
                        "cron_registered",
                        "cron_changed",
                        "cron_retired",
                        "cron_paused",
                        "cron_resumed",
                        "cron_rewound",
                    ]
                ),
            ),
            models.Index(
                fields=["occurred_at"],
                name="rqcron_event_runner",
                condition=models.Q(type__in=["runner_started", "runner_stopped", "runner_lost"]),
            ),
            models.Index(
                fields=["run_id"],
                name="rqcron_event_run",
                condition=models.Q(run_id__isnull=False),
            ),
        )

    def __str__(self) -> str:
        return f"{self.id} {self.type} {self.stream}@{self.version}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise AppendOnlyError(_REFUSED.format(what="updated"))
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AppendOnlyError(_REFUSED.format(what="deleted"))

    def to_event(self) -> Event:
        """The row as a core event. Raises UnreadableEvent when nothing can be made of it."""
        try:
            kind = event_type(self.type)
            check_shape(self.data, self.occurred_at)
            data = decode_data(kind, self.schema_version, self.data)
        except Exception as error:
            raise UnreadableEvent(f"event {self.id} of {self.stream}: {error}") from error
        return Event(
            stream=self.stream,
            version=self.version,
            type=kind,
            cron=self.cron,
            run_id=self.run_id,
            attempt=self.attempt,
            scheduled_for=self.scheduled_for,
            reason=self.reason,
            actor=self.actor,
            occurred_at=self.occurred_at,
            data=data,
            id=self.id,
            recorded_at=self.recorded_at,
        )


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
    """``sealing``, ``verify``, or ``receiver:<name>``."""
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
