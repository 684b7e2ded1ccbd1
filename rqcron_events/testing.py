"""What a project's own tests need: a clock to set, an empty log between tests, assertions.

Nothing here belongs into production code.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from . import clock
from .core.events.keys import FIRST

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.backends.base.operations import BaseDatabaseOperations

    from .models import CronEvent

__all__ = ["FakeClock", "allow_flush", "assert_fired", "assert_not_fired", "tick"]


def allow_flush() -> None:
    """Let Django's flush empty the log, although triggers refuse it. Call it in ``conftest.py``; for
    ``manage.py test``, in the ``__init__.py`` of the package that holds the tests.

    TransactionTestCase, pytest-django's ``transactional_db`` and ``manage.py flush`` truncate all
    tables. Around a flush that includes the log the triggers are lifted, in one transaction;
    everything else stays refused, and so does a flush in processes that did not call this.

    >>> from rqcron_events.testing import allow_flush
    >>> allow_flush()
    """
    from django.db.backends.base.operations import BaseDatabaseOperations

    original = BaseDatabaseOperations.execute_sql_flush
    if not hasattr(original, "lifts_triggers"):
        BaseDatabaseOperations.execute_sql_flush = _lifting_triggers(original)  # type: ignore[method-assign, assignment]


def _lifting_triggers(
    original: Callable[[BaseDatabaseOperations, Any], None],
) -> Callable[[BaseDatabaseOperations, Any], None]:
    from django.db import transaction

    from .ledger.backend import backend_of

    def execute_sql_flush(self: BaseDatabaseOperations, sql_list: Any) -> None:
        db = self.connection
        if not any('"rqcron_event"' in sql for sql in sql_list):
            original(self, sql_list)
            return
        with transaction.atomic(using=db.alias):
            backend_of(db).set_append_only(db, False)
            original(self, sql_list)
            backend_of(db).set_append_only(db, True)

    execute_sql_flush.lifts_triggers = True  # type: ignore[attr-defined]
    return execute_sql_flush


class FakeClock:
    """Sets the time that rqcron-events reads, in this process, while it is entered.

    >>> with FakeClock(datetime(2026, 3, 2, 9, 0, tzinfo=UTC)) as fake:
    ...     fake.advance(timedelta(hours=1))
    ...     clock.now().isoformat()
    '2026-03-02T10:00:00+00:00'
    """

    def __init__(self, now: datetime | None = None) -> None:
        self.now = _aware(now or clock.now())

    def advance(self, by: timedelta) -> datetime:
        """Move on (or back, when negative); returns the new time."""
        self.now += by
        return self.now

    def set(self, now: datetime) -> datetime:
        """Jump to an aware datetime; raises ValueError for a naive one."""
        self.now = _aware(now)
        return self.now

    def __enter__(self) -> Self:
        self._original = clock.now
        clock.now = lambda: self.now
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        place: TracebackType | None,
    ) -> None:
        clock.now = self._original


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError(f"{value.isoformat()} has no time zone; add tzinfo=datetime.UTC.")
    return value.astimezone(UTC)


def tick() -> list[tuple[str, datetime]]:
    """Do what a runner does at this moment, without Redis: register, decide, record.

    Returns the slots that fired, as (cron, slot); nothing is enqueued, so no job runs. Call it
    once before the time that you test, so that the crons are registered by then.

    >>> with FakeClock(datetime(2026, 3, 2, 13, 59, tzinfo=UTC)) as fake:  # doctest: +SKIP
    ...     tick()
    ...     fake.advance(timedelta(minutes=2))
    ...     tick()
    [('send_digest', datetime.datetime(2026, 3, 2, 14, 0, tzinfo=datetime.timezone.utc))]
    """
    from .runner.runner import Runner

    return [
        (request.cron, request.slot)
        for requests in Runner().decide_due()
        for request in requests
        if request.slot is not None
    ]


def assert_fired(name: str, slot: datetime) -> CronEvent:
    """The decision that fired the slot; AssertionError says what was recorded instead.

    >>> assert_fired("send_digest", datetime(2026, 3, 2, 14, 0, tzinfo=UTC))  # doctest: +SKIP
    """
    decision = _decision(name, slot)
    if decision is not None and decision.type == "slot_fired":
        return decision
    raise AssertionError(f"Cron {name!r} did not fire at {_text(slot)}: {_told(name, decision)}")


def assert_not_fired(name: str, slot: datetime, reason: str | None = None) -> CronEvent | None:
    """The decision that skipped or missed the slot, or None when there is no decision.

    With ``reason`` (``"overlap"``, ``"paused"``, ``"too_late"`` ...) a decision must exist and
    carry it.
    """
    decision = _decision(name, slot)
    if decision is not None and decision.type == "slot_fired":
        raise AssertionError(f"Cron {name!r} fired at {_text(slot)}: {_told(name, decision)}")
    if reason is not None and (decision is None or decision.reason != reason):
        raise AssertionError(
            f"Cron {name!r} should not have fired at {_text(slot)} because of {reason!r}: "
            f"{_told(name, decision)}"
        )
    return decision


def _decision(name: str, slot: datetime) -> CronEvent | None:
    """The decision that covers the slot: ``scheduled_for`` is the last slot that it covers."""
    from .ledger.lookup import stored_name
    from .ledger.store import connection
    from .models import CronEvent

    slot = _aware(slot)
    decisions = CronEvent.objects.using(connection().alias).for_cron(stored_name(name)).decisions()
    found = decisions.filter(scheduled_for__gte=slot).order_by("scheduled_for", "id").first()
    if found is None or found.scheduled_for == slot:
        return found
    first = found.data.get(FIRST)
    return found if first and datetime.fromisoformat(first) <= slot else None


def _told(name: str, decision: CronEvent | None) -> str:
    from .ledger.lookup import stored_name
    from .ledger.store import connection
    from .models import CronEvent

    if decision is not None:
        why = f", {decision.reason}" if decision.reason else ""
        return f"event {decision.id} says {decision.type}{why} {decision.data}."
    own = CronEvent.objects.using(connection().alias).for_cron(stored_name(name))
    last = own.order_by("-id").first()
    if last is None:
        return "the log has no event of this cron. Was it registered by a runner's tick?"
    return (
        f"no decision covers this slot; the cron's last event is {last.type} of "
        f"{_text(last.occurred_at)}."
    )


def _text(instant: datetime) -> str:
    return instant.isoformat(timespec="seconds")
