"""What to write instead, for texts that people write and that no schedule has."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["expression_remedy", "field_remedy"]

_EVERY = re.compile(
    r"@?(?:every|each)\s+(?:(\d{1,6})\s*)?(s|m|h|d|w|sec|min|second|minute|hour|day|week)s?",
    re.IGNORECASE | re.ASCII,
)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_STEPPED = {"minutes": ("*/{} * * * *", 60), "hours": ("0 */{} * * *", 24)}
_ONE = {"minutes": "* * * * *", "hours": "0 * * * *", "days": "0 0 * * *", "weeks": "0 0 * * 0"}


def expression_remedy(text: str) -> str:
    """For words instead of fields; empty where the text is no sentence.

    >>> expression_remedy("every 5 minutes")
    "words are not read; write every=timedelta(minutes=5), or schedule='*/5 * * * *'"
    """
    found = _EVERY.fullmatch(text)
    if found is None:
        if re.match(r"@?(?:every|each|at|on)\b", text, re.IGNORECASE):
            return (
                "words are not read; write five fields (minute hour day month weekday), such as "
                "'0 9 * * 1-5', or every=timedelta(...)"
            )
        return ""
    count, unit = int(found[1] or 1), _UNITS[found[2][0].lower()]
    remedy = f"words are not read; write every=timedelta({unit}={count})"
    fields, size = _STEPPED.get(unit, ("", 0))
    if count == 1 and unit in _ONE:
        fields = _ONE[unit]
    elif not count or not size or size % count or count == size:
        return remedy
    return f"{remedy}, or schedule={fields.format(count)!r}"


def field_remedy(name: str, item: str, names: Mapping[str, int]) -> str:
    """For an item of a field's list; empty where nothing better is known than what a field takes."""
    capitals = item.upper()
    if re.match(r"H(\(|/|$)", capitals):
        return "H stands alone in its field: H, H(0-5), H/15 or H(0-29)/10"
    if name == "day of week":
        if last := re.fullmatch(r"([0-7])L|L?([A-Z]{3})L?", capitals, re.ASCII):
            day = last[1] or names.get(last[2])
            if day is not None:
                found = next(key for key, number in names.items() if number == int(day) % 7)
                return f"write L{day} for the last {found} of the month"
        if capitals == "L":
            return (
                "it has two readings, Saturday and the last one of some weekday in the month; write 6 "
                "for Saturday, L5 for the last Friday"
            )
    elif "#" in item:
        return "# counts weekdays: write it in the day of week, such as MON#2"
    if name == "day of month" and re.fullmatch(r"L-\d+|L?W|WL", capitals, re.ASCII):
        return (
            "write L for the last day of the month, 15W for the weekday nearest to the 15th; nothing "
            "else is counted from a month's end"
        )
    if capitals[:3] in names and capitals.isalpha():
        return f"names have three letters: write {capitals[:3]}"
    return ""
