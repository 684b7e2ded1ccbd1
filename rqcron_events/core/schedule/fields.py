"""What one field of a cron expression says: the values that its text stands for.

Numbers, names, lists, ranges and steps are read as crontab(5) reads them, and what it does not have
as docs/schedules.md says. croniter is left with ``H``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from croniter.croniter import HashExpander, croniter

from .remedies import field_remedy

__all__ = [
    "FIELDS",
    "READING",
    "SECOND",
    "WEEKDAY",
    "Field",
    "Values",
    "expand",
    "is_hashed",
    "was_always_so",
]

READING: Final = 2
"""Raise it whenever a text that was accepted is read as something else; the log has it with each
start of a runner. 1 is the reading of croniter 7, with what was corrected of it."""

FIELDS_KEPT_MAX = 2_000
"""Texts of fields with their values, a few hundred bytes each."""

TEXT_SHOWN_MAX = 100
"""Characters of a field in a message."""

_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]


class Field(NamedTuple):
    """Which field it is, and what may stand there."""

    place: int
    """Its place in five fields; the second comes last, as croniter counts."""
    name: str
    low: int
    high: int
    names: dict[str, int]
    """In capitals."""


SECOND: Final = Field(5, "second", 0, 59, {})
_DAY: Final = Field(2, "day of month", 1, 31, {})
_MONTH: Final = Field(3, "month", 1, 12, {name: at for at, name in enumerate(_MONTHS, 1)})
WEEKDAY: Final = Field(4, "day of week", 0, 7, {name: at for at, name in enumerate(_WEEKDAYS)})
FIELDS: Final = (Field(0, "minute", 0, 59, {}), Field(1, "hour", 0, 23, {}), _DAY, _MONTH, WEEKDAY)
"""In the order in which they are written, without seconds."""


class Values(NamedTuple):
    """What a field matches: any of these."""

    numbers: frozenset[int]
    """Weekdays from 0, Sunday, to 6."""
    last_day: bool = False
    """``L`` in the day of month."""
    nearest_weekdays: frozenset[int] = frozenset()
    """``15W`` in the day of month."""
    nth_weekdays: frozenset[tuple[int, int]] = frozenset()
    """``MON#2`` is (1, 2); ``L1``, the last Monday, is (1, -1)."""


_H = re.compile(r"H(?:\((\d+)-(\d+)\))?(?:/(\d+))?", re.IGNORECASE | re.ASCII)
_STARS = re.compile(r"\*(?:/(\d+))?", re.ASCII)
_RANGE = re.compile(r"(\w+)(?:-(\w+))?(?:/(\d+))?", re.ASCII)
_NTH = re.compile(r"(\w+)(?:-(\w+))?#(\d+)", re.ASCII)
_LAST_WEEKDAY = re.compile(r"L(\d+)", re.IGNORECASE | re.ASCII)
_NEAREST = re.compile(r"(\d+)W|W(\d+)", re.IGNORECASE | re.ASCII)


class _NotUnderstood(ValueError):
    """An item that is none; the remedy, where it is not left to the kind of item."""


def expand(field: Field, text: str, hash_id: str = "") -> Values:
    """The values of a field; ``hash_id`` feeds ``H``. Raises ValueError with problem and remedy.

    >>> sorted(expand(FIELDS[1], "23-5/2").numbers)
    [1, 3, 5, 23]
    """
    if is_hashed(text):
        return _hashed(field, text, hash_id)
    return _expanded(field.place, text)


def is_hashed(text: str) -> bool:
    """Whether the field asks for a value that is hashed from the cron's name."""
    return text[:1] in ("H", "h") and text[1:2] in ("", "(", "/")


def was_always_so(field: Field, text: str) -> bool:
    """Whether no release has read the field otherwise: a star, or numbers, names, ranges that rise.

    Of what is left, most was read alike, too; but not all.
    """
    return bool(_STARS.fullmatch(text)) or all(
        _item_was_always_so(field, item) for item in text.split(",")
    )


def _item_was_always_so(field: Field, item: str) -> bool:
    plain = _RANGE.fullmatch(item)
    if plain is None:
        return False
    first, last, step = plain.groups()
    if step and field is WEEKDAY:
        return False
    try:
        return last is None or _number(field, first) < _number(field, last)
    except ValueError:
        return False


@lru_cache(maxsize=FIELDS_KEPT_MAX)
def _expanded(place: int, text: str) -> Values:
    field = SECOND if place == SECOND.place else FIELDS[place]
    if text == "?" and field in (_DAY, WEEKDAY):
        text = "*"
    found = [_item(field, item, text) for item in text.split(",")]
    if len(found) == 1:
        return found[0]
    return Values(
        numbers=frozenset().union(*(item.numbers for item in found)),
        last_day=any(item.last_day for item in found),
        nearest_weekdays=frozenset().union(*(item.nearest_weekdays for item in found)),
        nth_weekdays=frozenset().union(*(item.nth_weekdays for item in found)),
    )


def _item(field: Field, item: str, text: str) -> Values:
    """One item of a list; ``text`` is the whole field, for messages."""
    try:
        if stars := _STARS.fullmatch(item):
            return _numbers(field, range(field.low, field.high + 1, _step(stars[1])))
        if special := _special(field, item):
            return special
        if plain := _RANGE.fullmatch(item):
            return _numbers(field, _range(field, plain[1], plain[2], plain[3]))
        raise _NotUnderstood
    except _NotUnderstood as why:
        shown = repr(text if len(text) <= TEXT_SHOWN_MAX else f"{text[:TEXT_SHOWN_MAX]}...")
        remedy = str(why) or field_remedy(field.name, item, field.names) or _what_it_takes(field)
        raise ValueError(f"{field.name} {shown} is not understood; {remedy}") from None


def _special(field: Field, item: str) -> Values | None:
    """``L``, ``W`` and ``#``, which crontab(5) does not have."""
    if field is _DAY:
        if item.upper() == "L":
            return Values(frozenset(), last_day=True)
        if near := _NEAREST.fullmatch(item):
            day = _number(field, near[1] or near[2])
            return Values(frozenset(), nearest_weekdays=frozenset({day}))
    if field is WEEKDAY:
        if last := _LAST_WEEKDAY.fullmatch(item):
            return Values(frozenset(), nth_weekdays=frozenset({(_number(field, last[1]) % 7, -1)}))
        if nth := _NTH.fullmatch(item):
            days = _range(field, nth[1], nth[2], None)
            which = _in_range("the number after #", nth[3], 1, 5)
            return Values(frozenset(), nth_weekdays=frozenset((day % 7, which) for day in days))
    return None


def _range(field: Field, first: str, last: str | None, step_text: str | None) -> Sequence[int]:
    step = _step(step_text)
    low = _number(field, first)
    if last is None:
        return range(low, field.high + 1, step) if step_text else (low,)
    high = field.high if field is _DAY and last.upper() == "L" else _number(field, last)
    if field is WEEKDAY:
        _refuse_two_sundays(first, last, low, high)
        if low == 7 > high:
            low = 0
    if low <= high:
        return range(low, high + 1, step)
    end = 6 if field is WEEKDAY else field.high
    return [*range(low, end + 1), *range(field.low, high + 1)][::step]


def _refuse_two_sundays(first: str, last: str, low: int, high: int) -> None:
    """Sunday is 0 where a range begins and 7 where it ends; a name beside a number fits both."""
    whole_week = not first.isdigit() and last.isdigit() and (low, high) == (0, 7)
    one_day = first.isdigit() and not last.isdigit() and (low, high) == (0, 0)
    if whole_week or one_day:
        raise ValueError(
            f"day of week '{first}-{last}' has two readings, Sunday alone and every day; write SUN "
            "for Sunday alone, * for every day"
        )


def _number(field: Field, text: str) -> int:
    if text.isdigit():
        return _in_range(field.name, text, field.low, field.high)
    if text.upper() not in field.names:
        raise _NotUnderstood
    return field.names[text.upper()]


def _in_range(name: str, text: str, low: int, high: int) -> int:
    number = _int(text)
    if not low <= number <= high:
        raise ValueError(f"{name} must be {low}-{high}, got {text[:20]}")
    return number


def _step(text: str | None) -> int:
    step = 1 if text is None else _int(text)
    if not step:
        raise _NotUnderstood("a step must be 1 or more")
    return step


def _int(digits: str) -> int:
    """Cut, because ``int`` refuses thousands of digits."""
    return int(digits.lstrip("0")[:10] or "0")


def _numbers(field: Field, numbers: Sequence[int]) -> Values:
    if field is WEEKDAY:
        return Values(frozenset(number % 7 for number in numbers))
    return Values(frozenset(numbers))


def _what_it_takes(field: Field) -> str:
    name = next((name for name, number in field.names.items() if number == 1), "")
    names = f" or names such as {name}" if name else ""
    return f"give {field.low}-{field.high}{names}, lists (1,15), ranges (1-5) or steps (*/10)"


def _hashed(field: Field, text: str, hash_id: str) -> Values:
    """croniter hashes, so that a cron has its minute where other schedulers would put it."""
    parts = _H.fullmatch(text)
    problem = "" if parts else "H stands alone in its field: H, H(0-5), H/15 or H(0-29)/10"
    if parts is not None:
        first, last, step_text = parts.groups()
        low, high = field.low, 6 if field is WEEKDAY else field.high
        if first is not None:
            low, high = (_in_range(field.name, end, low, field.high) for end in (first, last))
        if low >= high:
            problem = "the range of H must end after it begins"
        elif step_text is None:
            return _numbers(field, (_hash(field, hash_id, low, high),))
        elif step := _int(step_text):
            start = _hash(field, hash_id, low, min(low + step - 1, high))
            return _numbers(field, range(start, high + 1, step))
        else:
            problem = "a step must be 1 or more"
    raise ValueError(f"{field.name} {text[:TEXT_SHOWN_MAX]!r} is not understood; {problem}")


def _hash(field: Field, hash_id: str, low: int, high: int) -> int:
    hasher = HashExpander(croniter)  # type: ignore[arg-type]  # the class, as croniter itself does
    return int(hasher.do(field.place, hash_id=hash_id.encode(), range_begin=low, range_end=high))
