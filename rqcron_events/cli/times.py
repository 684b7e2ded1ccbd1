"""The instants that commands are given: in a zone of their own, the cron's or the project's."""

from __future__ import annotations

from datetime import datetime, tzinfo

from django.utils.timezone import get_default_timezone

from .. import clock
from ..conf import conf
from ..core.events import EventType
from ..core.events.keys import DEFINITION
from ..core.parse_time import names_a_zone, read_instant
from ..core.schedule import zone_named
from ..errors import CronConfigError
from ..models import CronEvent

__all__ = ["parse_instant", "parse_past_instant", "zone_of"]


def parse_instant(text: str, option: str, *, cron: str = "", future: bool = False) -> datetime:
    """What ``option`` was given, in UTC: ISO 8601 with a zone, a date, or words like "yesterday 9am".

    Dates and words are read in the zone of ``cron``, else in the project's ``TIME_ZONE``; ``future``
    asks for the next such time instead of the last. Raises CronConfigError with the value and the
    remedy.
    """
    zone = get_default_timezone() if names_a_zone(text) else zone_of(cron)
    try:
        return read_instant(text, now=clock.now(), zone=zone, future=future)
    except ValueError as error:
        raise CronConfigError(f"{option} {error}") from None


def parse_past_instant(text: str, option: str, *, cron: str = "") -> datetime:
    """The same where only the past can be shown: CronConfigError for what is yet to come, too."""
    found = parse_instant(text, option, cron=cron)
    if found > clock.now():
        raise CronConfigError(
            f"{option} {text!r} is in the future ({found:%Y-%m-%d %H:%M:%S} UTC), of which the log "
            "knows nothing. Give a time in the past, or leave it out for the state of now."
        )
    return found


def zone_of(cron: str) -> tzinfo:
    """The zone that a cron's schedule is in, or the project's for a name that the log lacks."""
    if not cron:
        return get_default_timezone()
    logged = CronEvent.objects.using(conf().database).for_cron(cron)
    newest = logged.of_type(EventType.CRON_REGISTERED, EventType.CRON_CHANGED).last()
    if newest is None:
        return get_default_timezone()
    try:
        return zone_named(newest.to_event().data[DEFINITION].get("timezone", "UTC"))
    except ValueError:  # logged on a machine that knows more zones
        return get_default_timezone()
