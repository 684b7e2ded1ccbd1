"""Times, durations and names as sentences for people show them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, tzinfo
from difflib import get_close_matches

from .definition import Definition
from .interventions.pauses import Pause
from .schedule import CronSchedule, local_time, zone_or_utc

__all__ = [
    "Show",
    "because",
    "bytes_words",
    "clause",
    "did_you_mean",
    "disabled_words",
    "duration",
    "empty_range_text",
    "is_seen",
    "late",
    "pause_words",
    "schedule_words",
    "shower",
    "shower_in",
    "shown",
    "shown_time",
    "unknown_cron_text",
]

NAMES_SUGGESTED_MAX = 3
_JOINERS = "\u200c\u200d"
"""They belong to the spelling of some languages, and to emoji; at an end they join nothing."""

Show = Callable[[datetime | None], str]


def shower(definition: Definition | None) -> Show:
    """Times in the cron's zone, with UTC beside it when that is another."""
    return shower_in(zone_or_utc(definition.timezone) if definition else UTC)


def shower_in(zone: tzinfo) -> Show:
    """Times in ``zone``, with UTC beside it when that differs, and its date when that differs too."""

    def show(instant: datetime | None) -> str:
        if instant is None:
            return "never"
        local, utc = local_time(instant, zone), instant.astimezone(UTC)
        text = shown_time(instant, zone)
        if local.utcoffset():
            text += f" ({utc:%H:%M:%S} UTC)" if local.date() == utc.date() else f" ({_utc(utc)})"
        return text

    return show


def shown_time(instant: datetime, zone: tzinfo, *, millis: bool = False) -> str:
    """``2026-03-02 09:00:00 CET``: how a time stands in tables and lists."""
    local = local_time(instant, zone)
    fraction = f".{local.microsecond // 1000:03d}" if millis else ""
    return f"{local:%Y-%m-%d %H:%M:%S}{fraction} {local.tzname()}"


def _utc(utc: datetime) -> str:
    return f"{utc:%Y-%m-%d %H:%M:%S} UTC"


def schedule_words(definition: Definition) -> str:
    """The schedule as people wrote it and, where ``H`` is in it, what it was hashed to.

    >>> schedule_words(Definition(name="digest", function="", expression="H 9 * * *"))
    'H 9 * * * = 34 9 * * *'
    """
    text = definition.schedule_text
    fields = (definition.expression or "").split()
    if not any(map(_is_hashed, fields)):
        return text
    try:
        schedule = definition.schedule
    except ValueError:  # of a zone that this machine does not know
        return text
    if not isinstance(schedule, CronSchedule):
        return text
    known = [schedule.minutes, schedule.hours, schedule.days, schedule.months, schedule.weekdays]
    numbers = [schedule.seconds, *known] if len(fields) == 6 else known
    found = [
        ",".join(map(str, sorted(values))) if _is_hashed(field) else field
        for field, values in zip(fields, numbers, strict=True)
    ]
    return f"{text} = {' '.join(found)}"


def _is_hashed(field: str) -> bool:
    return re.search(r"\bH(?=[(/,]|$)", field, re.IGNORECASE) is not None


def late(seconds: float | None) -> str:
    if seconds is None or seconds < 0.0005:
        return "on time"
    return f"{duration(seconds)} late"


def bytes_words(count: float) -> str:
    """With the unit that fits: ``512 bytes``, ``1.2 MB``, ``34 GB``; 1 kB is 1,000 bytes."""
    if count < 1_000:
        return f"{count:.0f} byte{'s' * (round(count) != 1)}"
    for unit in ("kB", "MB", "GB", "TB"):
        count /= 1_000
        if count < 999.5 or unit == "TB":
            break
    return f"{count:.1f} {unit}" if count < 9.95 else f"{count:,.0f} {unit}"


def duration(seconds: float) -> str:
    """With the unit that fits: ``250 ms``, ``12.0 s``, ``1 h 5 min``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    return " ".join(f"{value} {unit}" for value, unit in parts if value)


def shown(text: object) -> str:
    """Text of others, safe to show: one line, in which nothing is hidden.

    Each character that cannot be seen becomes an escape: line ends, controls of terminals (C0, C1),
    controls of direction, lone surrogates, and format characters other than joiners inside of words.

    >>> shown("failed\\n\\x1b[2Jcron_paused \\u202e")
    'failed\\\\n\\\\x1b[2Jcron_paused \\\\u202e'
    """
    known = str(text)
    if known.isprintable():
        return known
    return "".join(
        character
        if is_seen(character) or (character in _JOINERS and _joins(known, at))
        else character.encode("unicode_escape").decode()
        for at, character in enumerate(known)
    )


def is_seen(character: str) -> bool:
    """Whether a character shows itself, or is a space of any width."""
    return character.isprintable() or unicodedata.category(character) == "Zs"


def _joins(text: str, at: int) -> bool:
    neighbours = text[max(at - 1, 0) : at] + text[at + 1 : at + 2]
    return len(neighbours) == 2 and neighbours.isprintable() and " " not in neighbours


def because(reason: str) -> str:
    return f" ({shown(reason)})" if reason else ""


def disabled_words(what: str, since: datetime, show: Show) -> str:
    """``disabled by enabled=False since ...``: of a cron that its code or the settings disable."""
    return f"disabled by {shown(what)} since {show(since)}"


def pause_words(pause: Pause, show: Show) -> str:
    """Who paused, since and until when, why, and whose pause that ended."""
    before = pause.replaced
    instead = f", replacing a pause {_by(before, show)}" if before is not None else ""
    return f"paused {_by(pause, show)}{instead}"


def _by(pause: Pause, show: Show) -> str:
    until = f" until {show(pause.until)}" if pause.until else ""
    who = pause.actor or "somebody"
    return f"by {who} since {show(pause.since)}{until}{because(pause.reason)}"


def clause(text: object) -> str:
    """An error's text for the middle of a sentence: without the full stop that most have."""
    return shown(str(text).strip().rstrip("."))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question with the known names that come closest, the nearest first; empty when none does.

    >>> did_you_mean("shedule", ["schedule", "queue"])
    "Did you mean 'schedule'?"
    """
    near = get_close_matches(name, list(known), n=NAMES_SUGGESTED_MAX, cutoff=0.5)
    return f"Did you mean {' or '.join(map(repr, near))}?" if near else ""


def empty_range_text(
    since: datetime,
    until: datetime,
    begin: str = "since",
    end: str = "until",
    show: Callable[[datetime], str] = datetime.isoformat,
) -> str:
    """What to say of a range that nothing can lie in; ``begin`` and ``end`` are what the caller calls
    its ends."""
    return (
        f"The range is empty: {begin} {show(since)} is not before {end} {show(until)}. Give an earlier "
        f"{begin} or a later {end}."
    )


def unknown_cron_text(name: str, known: Iterable[str]) -> str:
    """What to say of a cron that the ledger does not have: the closest names and the remedy."""
    remedy = did_you_mean(name, known) or "cron_list shows all."
    return (
        f"No cron is named {name!r}. {remedy} A runner (cron_run, cron_worker) registers new crons "
        "when it starts."
    )
