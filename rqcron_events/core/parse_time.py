"""Instants as people write them: ISO 8601, a date, or English words.

dateparser does the reading of words. It drops what it does not understand ("yesterday 25:00" is
yesterday at this time of day, "yesterday 9am EST" is 9am of another zone), so words and numbers
are checked first: a wrong instant is worse than a refused one.
"""

from __future__ import annotations

import difflib
import re
from datetime import UTC, datetime, tzinfo
from zoneinfo import available_timezones

from .schedule import first_instant, local_time, zone_named

__all__ = ["leaves_the_day_open", "names_a_zone", "read_instant"]

TEXT_CHARS_MAX = 100

_ZONE = re.compile(
    r"(?P<rest>.*\S)\s*(?P<zone>\bZ|\bUTC|\bGMT|\s[+-](?:0\d|1[0-4]):?[0-5]\d|\b[A-Z_+-]+(?:/[A-Z0-9_+-]+)+)",
    re.IGNORECASE,
)
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sept?|oct|nov|dec)[a-z]*"
_YEAR = r"(?:,?\s+(?:19|20)\d\d\b)?"
_UNIT = r"(?:s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?|months?|years?)"
_SHORT_UNIT = r"(?:s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?)"
_TIME = r"(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d)?(?:\s*[ap]m\b)?|(?:1[0-2]|0?[1-9])\s*[ap]m\b"
_DATE = re.compile(r"\b\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])\b", re.ASCII)
_TIME_OF_DAY = re.compile(rf"(?<![\w.:])(?:{_TIME})(?![\d:])", re.ASCII)
_COUNTS = re.compile(rf"(?:(?<![\d.])\d+(?:\.\d+)?\s*|\ban?\s+){_UNIT}(?![a-z])", re.ASCII)
_ELAPSED = re.compile(rf"(?:\d\s*|\ban?\s+){_SHORT_UNIT}(?![a-z])", re.ASCII)
_UNDERSTOOD = (
    _DATE,
    re.compile(rf"\b{_MONTH}\s+\d{{1,2}}(?:st|nd|rd|th)?\b(?!:|\s*[ap]m){_YEAR}", re.ASCII),
    re.compile(rf"\b\d{{1,2}}(?:st|nd|rd|th)?\s+{_MONTH}{_YEAR}", re.ASCII),
    _TIME_OF_DAY,
    _COUNTS,
)
_DAY = re.compile(
    r"today|yesterday|tomorrow|mon(day)?|tue(s|sday)?|wed(nesday)?|thu(r|rs|rsday)?|fri(day)?"
    r"|sat(urday)?|sun(day)?"
)
_FIXED_DAY = re.compile(
    rf"\b(?:now|today|yesterday|tomorrow|last|next|ago|{_MONTH}\s+\d|\d+(?:st|nd|rd|th)?\s+{_MONTH})"
)
_WORD = re.compile(
    rf"{_DAY.pattern}|noon|midnight|the|at|on|in|ago|last|next|before|after|and|day|week|month|year"
)
_WHOLE_DAY = re.compile(r"(?:the day (?:before|after) )?(?:today|yesterday|tomorrow)")
_EXAMPLES = (
    "2026-03-01T09:00:00Z, '2026-03-01 09:00', '2026-03-01 09:00 Europe/Berlin', 'yesterday 9am', "
    "'last tuesday 14:00' or '2 hours ago'"
)


def read_instant(text: str, *, now: datetime, zone: tzinfo, future: bool = False) -> datetime:
    """The instant that ``text`` names, in UTC.

    ISO 8601, a date (its midnight) and words are read in ``zone`` unless they carry one: ``Z``, an
    offset, or an IANA name after them. Words are relative to ``now``; a time of day or a weekday
    without a date is the last one, or the next one with ``future``. Hours, minutes and seconds count
    elapsed time; a day keeps the time of day. A wall time that clocks show twice means the first
    pass, one that they skip the moment right after the gap, as a schedule does.

    Raises ValueError with the problem, the value and the remedy.

    >>> read_instant("yesterday 9am", now=datetime(2026, 3, 2, 15, tzinfo=UTC), zone=UTC)
    datetime.datetime(2026, 3, 1, 9, 0, tzinfo=datetime.timezone.utc)
    """
    try:
        return _read(" ".join(text.split()), now, zone, future)
    except OverflowError:
        raise ValueError(f"{text!r} is not an instant. Give {_EXAMPLES}.") from None


def names_a_zone(text: str) -> bool:
    """Whether the zone that ``read_instant`` is given makes no difference."""
    iso = _iso(text)
    if iso is not None:
        return iso.tzinfo is not None
    return _ZONE.fullmatch(" ".join(text.split())) is not None


def leaves_the_day_open(text: str) -> bool:
    """Whether the text names a time of day or a weekday, so that which day is meant depends on what
    it is read for.

    >>> leaves_the_day_open("17:00"), leaves_the_day_open("yesterday 17:00")
    (True, False)
    """
    words = text.lower()
    if _iso(" ".join(text.split())) is not None or _DATE.search(words) or _COUNTS.search(words):
        return False
    return _FIXED_DAY.search(words) is None


def _read(text: str, now: datetime, zone: tzinfo, future: bool) -> datetime:
    named = _ZONE.fullmatch(text)
    iso = _iso(text)
    if iso is None and named is not None:
        text, zone = named["rest"], _zone(named["zone"].strip())
        iso = _iso(text)
    if iso is not None and iso.tzinfo is not None:
        return iso.astimezone(UTC)
    if iso is not None:
        return first_instant(iso, zone)
    return _in_words(text, now, zone, future)


def _iso(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _in_words(text: str, now: datetime, zone: tzinfo, future: bool) -> datetime:
    words = text.lower()
    if words == "now":
        return now.astimezone(UTC)
    _refuse_what_is_not_understood(words, text)
    if _WHOLE_DAY.fullmatch(words):
        words += " 00:00"
    elapsed = _ELAPSED.search(words) is not None
    wall_zone = UTC if elapsed else zone
    wall = _parsed(words, local_time(now, wall_zone).replace(tzinfo=None), future)
    if wall is None:
        raise ValueError(f"{text!r} is not an instant. Give {_EXAMPLES}.")
    return first_instant(wall.replace(microsecond=0), wall_zone)


def _refuse_what_is_not_understood(words: str, text: str) -> None:
    rest = words
    if len(text) <= TEXT_CHARS_MAX:
        for pattern in _UNDERSTOOD:
            rest = pattern.sub(" ", rest)
    number = re.search(r"[\d:./+-]*\d[\d:./+-]*", rest, re.ASCII)
    if number is not None:
        raise ValueError(
            f"{text!r} is not an instant: {number[0]!r} can be read in more than one way, or in "
            f"none. Give {_EXAMPLES}."
        )
    left = re.findall(r"[^\s,]+", rest)
    for word in left:
        if _WORD.fullmatch(word) is None:
            raise ValueError(
                f"{text!r} is not an instant: {word[:40]!r} is not understood. Give {_EXAMPLES}."
            )
    two_times = _ELAPSED.search(words) and _TIME_OF_DAY.search(words)
    two_days = (
        sum(_DAY.fullmatch(word) is not None for word in left) + len(_DATE.findall(words)) > 1
    )
    if two_times or two_days:
        raise ValueError(f"{text!r} is not one instant but two. Give {_EXAMPLES}.")


def _parsed(words: str, base: datetime, future: bool) -> datetime | None:
    # Imported late: it takes a tenth of a second, which only those pay who write words.
    from dateparser.date import DateDataParser

    settings = {
        "RELATIVE_BASE": base,
        "PREFER_DATES_FROM": "future" if future else "past",
        "PARSERS": ["relative-time", "absolute-time"],
        "TIMEZONE": "UTC",
        "RETURN_AS_TIMEZONE_AWARE": False,
    }
    found = DateDataParser(languages=["en"], settings=settings).get_date_data(words).date_obj
    assert found is None or isinstance(found, datetime)
    return found


def _zone(name: str) -> tzinfo:
    if name.upper() in ("Z", "UTC", "GMT"):
        return UTC
    if name[0] in "+-":
        return datetime.fromisoformat(f"2026-01-01T00:00:00{name}").tzinfo or UTC
    try:
        return zone_named(name)
    except ValueError:
        known = {zone.lower(): zone for zone in available_timezones()}
    if name.lower() in known:
        return zone_named(known[name.lower()])
    close = [known[item] for item in difflib.get_close_matches(name.lower(), known, n=3)]
    remedy = f"Did you mean {' or '.join(close)}?" if close else "Give one such as Europe/Berlin."
    raise ValueError(f"{name!r} is not an IANA time zone. {remedy}")
