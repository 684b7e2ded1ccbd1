"""Time zones by name, and the instant at which a clock on the wall shows a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

__all__ = ["first_instant", "local_time", "zone_named", "zone_or_utc"]

MINUTE = timedelta(minutes=1)
GAP_MINUTES_MAX = 2 * 24 * 60
"""The longest jump of a clock that is followed: zones that crossed the date line lost 24 hours."""


_NO_ZONES = {
    "localtime": "it is another zone on each machine",
    "posixrules": "it is another zone on each machine",
    "Factory": "it is the zone of a machine that was not set up",
}
"""What zoneinfo finds beside IANA's zones."""
_COPIES = ("posix/", "right/")
"""Folders with all zones once more, the second with leap seconds; not every machine has them."""


def zone_named(name: str) -> ZoneInfo:
    """The IANA zone of that name. Raises ValueError with the value and the remedy."""
    if why := _NO_ZONES.get(name):
        raise ValueError(
            f"timezone {name!r} is invalid: {why}; give an IANA zone such as 'Europe/Berlin'"
        )
    if name.startswith(_COPIES):
        raise ValueError(
            f"timezone {name!r} is invalid: not every machine has it; give an IANA zone such as "
            f"{name.partition('/')[2]!r}"
        )
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(
            f"timezone {name!r} is invalid: it is not an IANA zone such as 'Europe/Berlin'"
        ) from error


@lru_cache(maxsize=1_000)
def zone_or_utc(name: str) -> tzinfo:
    """The zone, or UTC where this machine does not know it: a time in UTC is better than none."""
    try:
        return zone_named(name)
    except ValueError:
        return UTC


def local_time(instant: datetime, zone: tzinfo) -> datetime:
    """The instant on that zone's clocks; in UTC where they would show a year that Python lacks."""
    try:
        return instant.astimezone(zone)
    except OverflowError:
        return instant.astimezone(UTC)


def first_instant(wall: datetime, zone: tzinfo) -> datetime:
    """The first instant that shows this wall time, or else the first full minute after the gap.

    Raises OverflowError when no such time exists within two days.
    """
    for _ in range(GAP_MINUTES_MAX):
        found = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
        if found.astimezone(zone).replace(tzinfo=None, fold=0) == wall:
            return found
        wall = wall.replace(second=0, microsecond=0) + MINUTE
    raise OverflowError(f"no wall time near {wall} exists in {zone}")
