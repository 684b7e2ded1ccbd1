"""The zone of a command: the one of the cron that it names, or else the project's ``TIME_ZONE``.

Times are read in it and shown in it.
"""

from __future__ import annotations

from datetime import datetime, tzinfo

from django.utils.timezone import get_default_timezone

from .. import clock
from ..conf import conf
from ..core.events import EventType
from ..core.events.keys import DEFINITION
from ..core.parse_time import leaves_the_day_open, names_a_zone, read_instant
from ..core.schedule import zone_named
from ..core.wording import empty_range_text, shown_time
from ..errors import CronConfigError
from ..ledger.lookup import stored_name
from ..models import CronEvent

__all__ = ["parse_instant", "parse_past_instant", "parse_range", "require_range", "zone_of"]


def parse_instant(
    text: str,
    option: str,
    *,
    cron: str = "",
    future: bool = False,
    after: datetime | None = None,
) -> datetime:
    """What ``option`` was given, in UTC: ISO 8601, a date, or words like "yesterday 9am".

    What names no zone is read in that of ``cron``, else in the project's ``TIME_ZONE``; ``future``
    asks for the next such time instead of the last, and refuses one that is past. ``after`` is where the range begins that this
    ends: a time of day or a weekday, whose last one is not after that, is the next one from there.
    Raises CronConfigError with the value and the remedy.
    """
    zone = get_default_timezone() if names_a_zone(text) else zone_of(cron)
    try:
        found = read_instant(text, now=clock.now(), zone=zone, future=future)
        if after is not None and found <= after and leaves_the_day_open(text):
            return read_instant(text, now=after, zone=zone, future=True)
    except ValueError as error:
        raise CronConfigError(f"{option} {error}") from None
    if future and found <= clock.now():
        raise CronConfigError(
            f"{option} {text!r} is in the past ({shown_time(found, zone_of(cron))}). Give a later time."
        )
    return found


def parse_past_instant(text: str, option: str, *, cron: str = "") -> datetime:
    """The same where only the past can be shown: CronConfigError for what is yet to come, too."""
    found = parse_instant(text, option, cron=cron)
    if found > clock.now():
        raise CronConfigError(
            f"{option} {text!r} is in the future ({shown_time(found, zone_of(cron))}), which the "
            "log cannot know. Give a time in the past, or leave it out for the state of now."
        )
    return found


def parse_range(
    since: str | None, until: str | None, *, cron: str = ""
) -> tuple[datetime | None, datetime | None]:
    """What ``--since`` and ``--until`` were given; an end without a day lies after its beginning.
    Raises CronConfigError for a range that nothing can lie in."""
    begin = parse_instant(since, "--since", cron=cron) if since is not None else None
    if until is None:
        return begin, None
    end = parse_instant(until, "--until", cron=cron, after=begin)
    if begin is not None:
        require_range(begin, end, "--since", "--until", cron=cron)
    return begin, end


def require_range(
    begin: datetime, end: datetime, option: str, end_option: str, *, cron: str = ""
) -> None:
    """CronConfigError unless ``begin`` is before ``end``: what the two options were given."""
    if begin >= end:
        zone = zone_of(cron)
        raise CronConfigError(
            empty_range_text(begin, end, option, end_option, lambda at: shown_time(at, zone))
        )


def zone_of(cron: str | None) -> tzinfo:
    """The zone that a cron's schedule is in, or the project's for a name that the log lacks."""
    if not cron:
        return get_default_timezone()
    logged = CronEvent.objects.using(conf().database).for_cron(stored_name(cron))
    newest = logged.of_type(EventType.CRON_REGISTERED, EventType.CRON_CHANGED).last()
    if newest is None:
        return get_default_timezone()
    try:
        return zone_named(newest.fact().data[DEFINITION].get("timezone", "UTC"))
    except ValueError:  # logged on a machine that knows more zones
        return get_default_timezone()
