"""The log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NoReturn, Self
from uuid import UUID

from django.db import models
from django.db.models.functions import Now

from ..conf import conf
from ..core.codec import check_shape, decode_data, event_type
from ..core.events import DECISIONS, OUTCOMES, Event, EventType
from ..core.wording import did_you_mean, empty_range_text
from ..errors import AppendOnlyError, CronConfigError, UnreadableEvent, check_instant
from .texts import put_back

__all__ = ["CronEvent", "CronEventQuerySet"]

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

    def events(self, *, texts: bool = True) -> Iterable[Event]:
        """The rows as core events, upcast, read in pages where they are in the order of their ids.
        ``texts`` False: without their texts, which no fold needs. Raises as ``CronEvent.to_event``."""
        for page in self._pages():
            facts = [row.fact() for row in page]
            yield from put_back(self.db, facts) if texts else facts

    def _pages(self) -> Iterator[list[CronEvent]]:
        """Without a cursor between two of them: behind a pooler, another client may get its session."""
        if (
            self.query.is_sliced
            or not self.query.standard_ordering
            or (self.query.order_by or ("id",)) != ("id",)
        ):
            yield list(self.all())
            return
        in_order = found = self.order_by("id")
        while rows := list(found[:PAGE_ROWS]):
            yield rows
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
        """The row as a core event, with its texts (one more query where it has some). Raises UnreadableEvent
        when nothing can be made of it."""
        [event] = put_back(self._state.db or conf().database, [self.fact()])
        return event

    def fact(self) -> Event:
        """The same without texts, which no fold needs."""
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
