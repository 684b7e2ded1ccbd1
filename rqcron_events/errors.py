"""Every error says the problem, the value and the remedy, in one line."""

from __future__ import annotations

__all__ = [
    "AppendOnlyError",
    "CronConfigError",
    "CronError",
    "LedgerUnavailable",
    "QueueUnusable",
    "SpoolFull",
    "UnknownCron",
    "UnknownRun",
    "VersionConflict",
]


class CronError(Exception):
    """Anything this package raises on purpose."""


class CronConfigError(CronError, ValueError):
    """A cron, a setting or an argument is wrong."""


class UnknownCron(CronError, LookupError):
    """No event of that cron exists in the ledger."""


class UnknownRun(CronError, LookupError):
    """No event of that run exists in the ledger."""


class VersionConflict(CronError):
    """Another writer appended to the stream first; read it again and decide again."""

    def __init__(self, stream: str, version: int) -> None:
        super().__init__(
            f"Stream {stream!r} already has version {version}: another writer appended first. "
            "Read the stream again and decide again."
        )
        self.stream = stream
        self.version = version


class AppendOnlyError(CronError, TypeError):
    """Somebody tried to change or delete an event."""


class LedgerUnavailable(CronError):
    """The ledger cannot be read safely in this situation."""


class QueueUnusable(CronError):
    """A queue is not in RQ_QUEUES, or its settings are broken; that concerns the runs in it only."""


class SpoolFull(CronError):
    """Redis keeps as many events as it may; the database has been away for very long."""
