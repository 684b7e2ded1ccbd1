"""Texts of fields, valid and not, and what crontab(5) says about them.

Written apart from the code: by walking from number to number, without a regular expression. Whatever
crontab(5) does not have is read as docs/schedules.md says.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
MONTHS = (
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
)  # fmt: skip
BOUNDS = {
    "minute": (0, 59),
    "hour": (0, 23),
    "day of month": (1, 31),
    "month": (1, 12),
    "day of week": (0, 7),
    "second": (0, 59),
}
NAMES: dict[str, dict[str, int]] = {
    "month": {name: number for number, name in enumerate(MONTHS, 1)},
    "day of week": {name: number for number, name in enumerate(DAYS)},
}
STRANGE = "0123456789*,-/#?LWl wxn+_.():٣"


class RefusedText(Exception):
    """crontab(5) has no such field."""


def what_is_said(field: str, text: str) -> set[object]:
    """Numbers (weekdays 0-6), ``"last"``, ``("nearest", 15)`` and ``("nth", weekday, which)``."""
    if text == "?" and field in ("day of month", "day of week"):
        return what_is_said(field, "*")
    said: set[object] = set()
    for item in text.split(","):
        said |= _item(field, item)
    return said


def _item(field: str, item: str) -> set[object]:
    before, slash, step_text = item.partition("/")
    step = _digits(step_text) if slash else 1
    if step < 1:
        raise RefusedText
    if field == "day of month" and not slash:
        upper = before.upper()
        if upper == "L":
            return {"last"}
        for rest in (upper.removesuffix("W"), upper.removeprefix("W")):
            if len(rest) == len(upper) - 1 and rest.isascii() and rest.isdigit():
                return {("nearest", _number(field, rest))}
    if field == "day of week" and not slash:
        if before[:1] in ("L", "l") and before[1:].isascii() and before[1:].isdigit():
            return {("nth", _number(field, before[1:]) % 7, -1)}
        days, hash_mark, which = before.partition("#")
        if hash_mark:
            if not 1 <= _digits(which) <= 5 or "*" in days:
                raise RefusedText
            return {("nth", day, _digits(which)) for day in _walk(field, days, 1, slash="")}
    return set(_walk(field, before, step, slash))


def _walk(field: str, text: str, step: int, slash: str) -> Iterator[int]:
    low, high = BOUNDS[field]
    week = field == "day of week"
    first_text, dash, last_text = text.partition("-")
    if text == "*":
        first, last = low, high
    else:
        first = _number(field, first_text)
        if dash and field == "day of month" and last_text in ("L", "l"):
            last = high
        elif dash:
            last = _number(field, last_text)
            names = (first_text.isdigit(), last_text.isdigit())
            if week and (first, last, *names) in ((0, 7, False, True), (0, 0, True, False)):
                raise RefusedText
        else:
            last = high if slash else first
    if week and first == 7 > last:
        first = 0  # or Sunday would come twice
    at, steps = first, 0
    while True:
        if steps % step == 0:
            yield at % 7 if week else at
        if at == last or (week and at % 7 == last % 7 and (first, last) != (0, 7)):
            return
        at, steps = at + 1, steps + 1
        if at > (6 if week and last < first else high):
            at = low


def _number(field: str, text: str) -> int:
    low, high = BOUNDS[field]
    number = NAMES.get(field, {}).get(text.lower())
    if number is None:
        number = _digits(text)
    if not low <= number <= high:
        raise RefusedText
    return number


def _digits(text: str) -> int:
    if not text or any(character not in "0123456789" for character in text):
        raise RefusedText
    return int(text)


def field_texts(source: random.Random) -> Iterator[tuple[str, str]]:
    """Fields with texts, most of them valid, without end."""
    while True:
        field = source.choice(list(BOUNDS))
        count = source.choices((1, 2, 3), (80, 15, 5))[0]
        text = ",".join(_any_item(source, field) for _ in range(count))
        if source.random() < 0.05:
            at = source.randrange(len(text) + 1)
            text = text[:at] + source.choice(STRANGE) + text[at + source.randint(0, 1) :]
            if not text or text != "".join(text.split()) or text[0] in "HhRr@":
                continue
        yield field, text


def _any_item(source: random.Random, field: str) -> str:
    kinds = ("*", "one", "open", "range", "equal", "special")
    kind = source.choices(kinds, (10, 15, 15, 40, 15, 5))[0]
    step = f"/{source.randint(1, 12)}"
    match kind:
        case "*":
            return "*" + source.choice(("", step))
        case "one":
            return _spelled(source, field)
        case "open":
            return _spelled(source, field) + step
        case "range":
            ends = f"{_spelled(source, field)}-{_spelled(source, field)}"
            return ends + source.choice(("", step))
        case "equal":
            number = source.randint(*BOUNDS[field])
            ends = f"{_spelled(source, field, number)}-{_spelled(source, field, number)}"
            return ends + source.choice(("", step))
    if field == "day of month":
        number = source.randint(1, 31)
        return source.choice(("L", "l", f"{number}W", f"w{number}", f"{number}-L"))
    if field == "day of week":
        day, which = _spelled(source, field), source.randint(0, 6)
        texts = (f"{day}#{which}", f"L{source.randint(0, 8)}", f"{day}-{day}#{which}")
        return source.choice(texts)
    return "*"


def _spelled(source: random.Random, field: str, number: int | None = None) -> str:
    low, high = BOUNDS[field]
    if number is None:
        number = source.randint(max(low - 1, 0), high + (source.random() < 0.02))
    same = number % 7 if field == "day of week" else number
    names = [name for name, value in NAMES.get(field, {}).items() if value == same]
    if names and source.random() < 0.5:
        name = source.choice(names)
        return source.choice((name, name.upper(), name.title()))
    return ("0" if source.random() < 0.15 else "") + str(number)
