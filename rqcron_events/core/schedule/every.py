"""Fixed periods."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from .schedule import EPOCH, SCHEDULES_KEPT_MAX

__all__ = ["EverySchedule", "every_schedule"]


@dataclass(frozen=True, slots=True)
class EverySchedule:
    """A fixed period aligned to the Unix epoch, so that no restart ever shifts it.

    >>> EverySchedule(timedelta(minutes=15)).next_after(datetime(2026, 3, 1, 9, 7, tzinfo=UTC))
    datetime.datetime(2026, 3, 1, 9, 15, tzinfo=datetime.timezone.utc)
    """

    period: timedelta
    """Time between two slots, a whole number of seconds, at least one."""
    offset: timedelta = timedelta(0)
    """Shift from the epoch, shorter than the period."""

    def __post_init__(self) -> None:
        seconds = self.period.total_seconds()
        if seconds < 1 or seconds != int(seconds):
            raise ValueError(
                f"every={self.period} is invalid: it must be a whole number of seconds, at least one"
            )
        if not timedelta(0) <= self.offset < self.period or self.offset.microseconds:
            raise ValueError(
                f"offset={self.offset} is invalid: it must be whole seconds, from zero to less than "
                f"every={self.period}"
            )

    def next_after(self, instant: datetime) -> datetime | None:
        periods = (instant - EPOCH - self.offset) // self.period
        try:
            return EPOCH + self.offset + self.period * (periods + 1)
        except OverflowError:
            return None

    def prev_until(self, instant: datetime) -> datetime | None:
        return EPOCH + self.offset + self.period * ((instant - EPOCH - self.offset) // self.period)


@lru_cache(maxsize=SCHEDULES_KEPT_MAX)
def every_schedule(period_seconds: int, offset_seconds: int = 0) -> EverySchedule:
    """The fixed period; raises ValueError as EverySchedule does."""
    return EverySchedule(timedelta(seconds=period_seconds), timedelta(seconds=offset_seconds))
