"""What people do about events that cannot be read."""

from __future__ import annotations

from dataclasses import dataclass, field

from .. import clock
from ..conf import conf
from ..core.events import make
from ..errors import CronConfigError
from ..followers import followers
from ..ledger import quarantine, store
from ..ledger.reading import can_be_folded
from ..models import CronEvent
from ..process.actor import actor_name
from .controls import bounded_reason

__all__ = ["Retried", "accept", "retry"]


@dataclass(slots=True, kw_only=True)
class Retried:
    """What became of the events that were set aside."""

    readable: int = 0
    unreadable: int = 0
    runner: bool = False
    """Some of those that can be read now were set aside by the runner."""
    built_again: list[str] = field(default_factory=list)
    """Projections that were folded anew, with what they had left out."""


def accept(event_id: int, *, reason: str, by: str | None = None) -> None:
    """Say that an event which cannot be read counts as nothing from now on; that is an event, too.

    Raises CronConfigError for an event that is not set aside.
    """
    if not any(row.event_id == event_id for row in quarantine.quarantined()):
        raise CronConfigError(
            f"Event {event_id} is not set aside. cron_quarantine lists those that are."
        )
    place = CronEvent.objects.using(conf().database).filter(id=event_id)
    found = place.values_list("stream", "version").first()
    if found is None:
        raise CronConfigError(f"Event {event_id} is no longer in the log; see cron_audit.")
    stream, version = found
    event = make.event_accepted(
        event_id=event_id,
        stream=stream,
        version=version,
        reason=bounded_reason(reason),
        actor=actor_name(by),
        at=clock.now(),
    )
    store.append_next([event])
    quarantine.release([event_id])


def retry() -> Retried:
    """Read the events that are set aside once more, with the code of this process, and release
    those that can be read. Projections are rebuilt with them here and now; a runner notices within
    some seconds, and folds the log again."""
    done = Retried()
    readers: set[str] = set()
    for row in quarantine.quarantined():
        if can_be_folded(store.connection(), row.event_id):
            quarantine.release([row.event_id], row.reader)
            done.readable += 1
            done.runner |= row.reader == quarantine.RUNNER
            readers.add(row.reader)
        else:
            done.unreadable += 1
    for follower in followers.values():
        if readers and follower.build_again is not None:
            done.built_again += follower.build_again(readers)
    return done
