"""Every error says the problem, the value and the remedy, in one line."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

__all__ = [
    "AppendOnlyError",
    "ArchiveRefused",
    "ClockSkewed",
    "CronConfigError",
    "CronError",
    "EventRefused",
    "LedgerUnavailable",
    "LogWentBack",
    "NotWaiting",
    "PositionAhead",
    "PositionArchived",
    "PredecessorMissing",
    "QueueUnusable",
    "SealBroken",
    "SegmentDamaged",
    "SegmentUnavailable",
    "SpoolFull",
    "UnknownCron",
    "UnknownRun",
    "UnreadableEvent",
    "VersionConflict",
    "check_instant",
]


class CronError(Exception):
    """Anything this package raises on purpose."""


class CronConfigError(CronError, ValueError):
    """A cron, a setting or an argument is wrong."""


def check_instant(name: str, value: object) -> None:
    """Raises CronConfigError unless ``value`` is a datetime with a zone."""
    if not isinstance(value, datetime):
        raise CronConfigError(
            f"{name}={value!r:.100} is not a datetime. Give one with a time zone, such as "
            "django.utils.timezone.now() + timedelta(hours=2)."
        )
    if value.tzinfo is None:
        raise CronConfigError(
            f"{name}={value.isoformat()} has no time zone. Add tzinfo, such as UTC."
        )


class ClockSkewed(CronError):
    """The clock of this machine differs too much from the database's to decide by it."""


class UnknownCron(CronError, LookupError):
    """No event of that cron exists in the ledger."""


class UnknownRun(CronError, LookupError):
    """No event of that run exists in the ledger."""


class NotWaiting(CronError):
    """A run that was to be cancelled has begun or ended."""


class VersionConflict(CronError):
    """Another writer appended to the stream first; read it again and decide again."""

    def __init__(self, stream: str, version: int) -> None:
        super().__init__(
            f"Stream {stream!r} already has version {version}: another writer appended first. "
            "Read the stream again and decide again."
        )
        self.stream = stream
        self.version = version


class PredecessorMissing(VersionConflict):
    """The event that a new one comes after is not in the log: the log went back since it was read,
    as after a failover. Read the stream again and decide again."""

    def __init__(self, stream: str, version: int) -> None:
        CronError.__init__(
            self,
            f"Stream {stream!r} has no version {version - 1}, so version {version} cannot follow: the "
            "log went back since it was read. Read the stream again and decide again.",
        )
        self.stream = stream
        self.version = version


class UnreadableEvent(CronError):
    """An event that the question rests on cannot be read, so there is no answer."""

    def __init__(self, what: object) -> None:
        super().__init__(
            f"{str(what)[:1].upper()}{str(what)[1:].rstrip('.')}. The answer would rest on it. Upgrade to the "
            "release that wrote it, or see cron_quarantine."
        )


class EventRefused(CronError, ValueError):
    """An event that the database never takes: a constraint or a value. Trying again does not help."""

    def __init__(self, stream: str, version: int, count: int, why: Exception) -> None:
        text = (str(why).strip().splitlines() or ["no message"])[0].rstrip(".")
        others = f" (the first of {count} events)" if count > 1 else ""
        super().__init__(
            f"Stream {stream!r}, version {version}{others}, was refused: {type(why).__name__}: "
            f"{text:.500}. Correct the value, or the constraint of rqcron_event that it names."
        )
        self.stream = stream
        self.version = version


class AppendOnlyError(CronError, TypeError):
    """Somebody tried to change or delete an event."""


class LedgerUnavailable(CronError):
    """The ledger cannot be read, or written, safely in this situation."""


class LogWentBack(LedgerUnavailable):
    """The log does not have what a reader has read, as after a failover."""

    def __init__(
        self,
        position: int,
        *,
        what: str = "was reached by events that the log does not have any more",
    ) -> None:
        super().__init__(
            f"Position {position} {what}: the log went back, "
            "as after a failover or a restored backup, and what was made of the lost events is still "
            "there. Start again from position 0; for projections: cron_replay."
        )
        self.position = position


class PositionAhead(LogWentBack):
    """A reader has been further than the log is: the log went back, as after a failover."""

    def __init__(self, position: int, newest: int) -> None:
        super().__init__(position, what=f"is ahead of the log, whose newest id is {newest}")


class PositionArchived(LedgerUnavailable):
    """Events behind a reader's position are not in the log any more, but in archived segments: going on
    would leave them out."""

    def __init__(self, position: int, segments: Sequence[tuple[str, str, int]]) -> None:
        """``segments``: the path, the storage and the last event of each."""
        shown = ", ".join(f"{path} in storage {storage!r}" for path, storage, _ in segments[:3])
        more = f" and {len(segments) - 3} more" if len(segments) > 3 else ""
        super().__init__(
            f"Position {position} lies in the archive: events behind it, up to {segments[-1][2]}, are in segment "
            f"{shown}{more}. Read them with rqcron_events.archive.reading.events_after, or go on from position "
            f"{segments[-1][2]}."
        )
        self.position = position


class SealBroken(CronError):
    """The log, or what was stored of its seals, is not what was sealed."""


class ArchiveRefused(CronError):
    """Nothing more is archived: the storage does not take a segment, or gives back something else."""


class RestoreRefused(CronError):
    """Segments are not put into the log: they, or the log, are not what they have to be."""


class SegmentUnavailable(CronError):
    """What was asked for is in an archived segment that cannot be had now, or is not what was archived."""

    def __init__(self, path: str, storage: str, why: object) -> None:
        super().__init__(
            f"Segment {path} in storage {storage!r} is needed for this, and cannot be had: "
            f"{str(why).rstrip('.')}. Put the file back there, or set STORAGES[{storage!r}] to where it is."
        )
        self.path = path
        self.storage = storage


class SegmentDamaged(SegmentUnavailable):
    """There is a file, and it is not what was archived."""


class QueueUnusable(CronError):
    """A queue is not in RQ_QUEUES, or its settings are broken; that concerns the runs in it only."""


class SpoolFull(CronError):
    """Redis keeps as many events as it may; the database has been away for very long."""
