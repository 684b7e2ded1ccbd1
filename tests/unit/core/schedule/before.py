"""10,000 expressions that have always been read right, and their slots by an earlier revision.

``slots_before.txt`` has a digest for each hundred of them, so that no later reading changes a slot.
Which one differs, and how the earlier revision read what it misread:

    python -m tests.unit.core.schedule.before REVISION           # compare, and count
    python -m tests.unit.core.schedule.before REVISION --write   # the file anew
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import random
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from .field_texts import BOUNDS, NAMES, RefusedText, field_texts, what_is_said

FILE = Path(__file__).with_name("slots_before.txt")
BLOCKS, BLOCK = 100, 100
SLOTS = 3
FIRST = datetime(2012, 1, 1, tzinfo=UTC)
"""Between here and twelve years later: what clocks did then does not change any more."""
ZONES = ("UTC", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Europe/Berlin")
PACKAGE = "rqcron_events/core/schedule"
FIELDS_TRIED = 100_000
ORDER = ("second", "minute", "hour", "day of month", "month", "day of week")

Parse = Callable[[str, str, str], Any]


def blocks() -> Iterator[list[tuple[str, str, datetime]]]:
    """Expressions with a zone and an instant."""
    for number in range(BLOCKS):
        source = random.Random(number)
        yield [
            (
                _expression(source),
                source.choice(ZONES),
                FIRST + timedelta(seconds=source.randrange(12 * 365 * 86_400)),
            )
            for _ in range(BLOCK)
        ]


def digest(cron_schedule: Parse, block: list[tuple[str, str, datetime]]) -> str:
    found = hashlib.sha256()
    for case in block:
        found.update(slots_of(cron_schedule, *case).encode())
    return found.hexdigest()[:16]


def slots_of(cron_schedule: Parse, expression: str, zone: str, instant: datetime) -> str:
    told = [expression, zone]
    try:
        schedule = cron_schedule(expression, zone, "alpha")
    except ValueError:
        return " ".join([*told, "refused"])  # 31 February
    slot: datetime | None = instant
    for _ in range(SLOTS):
        slot = schedule.next_after(slot)
        if slot is None:
            break
        told.append(f"{slot:%Y-%m-%dT%H:%M:%S}")
    return " ".join(told)


def _expression(source: random.Random) -> str:
    if source.random() < 0.02:
        return source.choice(("@hourly", "@daily", "@WEEKLY", "@monthly", "@yearly", "@midnight"))
    fields = [_field(source, name) for name in ORDER[source.random() < 0.9 :]]
    if source.random() < 0.5:
        fields[-2] = "*"
    if source.random() < 0.5:
        fields[-1 if source.random() < 0.5 else -3] = source.choice("*?")
    return " ".join(fields)


def _field(source: random.Random, name: str) -> str:
    low, high = BOUNDS[name]
    first = source.randint(low, high)
    last = source.randint(first, high)
    step = source.randint(1, high)
    week = name == "day of week"
    match source.choices(range(8), (20, 15, 25, 15, 10, 10, 5, 5))[0]:
        case 0:
            return "*"
        case 1:
            return f"*/{step}"
        case 2:
            return ",".join(str(source.randint(low, high)) for _ in range(source.randint(1, 4)))
        case 3:
            return f"{first}-{last}"
        case 4 if first != last:
            return f"{first}-{last}/{step}"
        case 5 if not week:
            return f"{first}/{step}"
        case 6:
            return source.choice(("H", "h", f"H/{step}", f"H({low}-{high - 1})", f"H({low}-7)/2"))
        case 7 if name in NAMES:
            names = sorted(NAMES[name], key=NAMES[name].__getitem__)
            begin, end = sorted(source.sample(range(len(names)), 2))
            return f"{names[begin]}-{names[end].upper()},{names[0].title()}"
        case 7 if name == "day of month":
            return source.choice(("L", "15,L", f"{first}W", f"{min(first, 30)}-L"))
    return str(first)


def package_of(revision: str, place: Path) -> Any:
    """``core.schedule`` as it was; it imports nothing else of ours."""
    packed = subprocess.run(
        ["git", "archive", revision, PACKAGE], check=True, capture_output=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as files:
        files.extractall(place, filter="data")
    folder = place / PACKAGE
    spec = importlib.util.spec_from_file_location(
        "schedule_before", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    return found


def field_as_read(cron_schedule: Parse, name: str, text: str) -> object:
    """In the shape of ``what_is_said``; None where only the calendar refuses it."""
    fields = ["0", "0", "0", "*", "*", "*"]
    fields[ORDER.index(name)] = text
    try:
        schedule = cron_schedule(" ".join(fields[name != "second" :]), "UTC", "")
    except ValueError as error:
        return None if "no date matches" in str(error) else "refused"
    values = (
        schedule.seconds, schedule.minutes, schedule.hours, schedule.days, schedule.months,
        schedule.weekdays,
    )  # fmt: skip
    said: set[object] = set(values[ORDER.index(name)])
    if name == "day of month":
        said |= {("nearest", day) for day in schedule.nearest_weekdays}
        said |= {"last"} if schedule.last_day else set()
    if name == "day of week":  # every Friday has the second one in it
        said |= {("nth", *nth) for nth in schedule.nth_weekdays if nth[0] not in said}
    return said


def count(cron_schedule: Parse) -> Counter[str]:
    """How generated texts of fields are read."""
    found: Counter[str] = Counter()
    for name, text in set(islice(field_texts(random.Random(1)), FIELDS_TRIED)):
        try:
            said = what_is_said(name, text)
            expected: object = {
                item for item in said if not (isinstance(item, tuple) and item[1] in said)
            } if name == "day of week" else said  # fmt: skip
        except RefusedText:
            expected = "refused"
        read = field_as_read(cron_schedule, name, text)
        if read == expected or read is None:
            found["right"] += 1
        elif expected == "refused":
            found["accepted, and not valid"] += 1
        else:
            found["refused, and valid" if read == "refused" else "misread"] += 1
    return found


def main(revision: str, *, write: bool) -> int:
    from rqcron_events.core.schedule import cron_schedule as today

    with tempfile.TemporaryDirectory() as place:
        before = package_of(revision, Path(place)).cron_schedule
        if write:
            FILE.write_text("".join(f"{digest(before, block)}\n" for block in blocks()))
        differ = [
            f"- {slots_of(before, *case)}\n+ {slots_of(today, *case)}"
            for block in blocks()
            for case in block
            if slots_of(before, *case) != slots_of(today, *case)
        ]
        print("\n".join(differ))
        print(f"{len(differ)} of {BLOCKS * BLOCK} expressions have other slots than by {revision}")
        for name, parse in ((revision, before), ("today", today)):
            print(f"texts of fields by {name}: {dict(sorted(count(parse).items()))}")
    return bool(differ)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], write="--write" in sys.argv))
