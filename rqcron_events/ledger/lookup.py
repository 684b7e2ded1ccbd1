"""Finding crons and runs by what people type, and what the log says of its own losses."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from uuid import UUID

from ..conf import conf
from ..core import wording
from ..core.audit.findings import Loss
from ..core.events import EventType, cron_stream
from ..core.events.keys import DEFINITION
from ..errors import UnknownRun
from ..models import CronEvent, CronSegment

__all__ = [
    "archived_to",
    "archived_until",
    "find_run",
    "known_names",
    "renames_without_effect",
    "stored_name",
    "told_losses",
    "unknown_cron_text",
]

PREFIX_CHARS_MIN = 4


def archived_to() -> int:
    """The id of the newest event that is archived; 0: none is."""
    known = CronSegment.objects.using(conf().database).order_by("-last_id")
    return known.values_list("last_id", flat=True).first() or 0


def archived_until() -> datetime | None:
    """The time of the newest event that is archived; None: none is."""
    known = CronSegment.objects.using(conf().database).filter(occurred_to__isnull=False)
    return known.order_by("-occurred_to").values_list("occurred_to", flat=True).first()


def known_names() -> list[str]:
    """Every name that a cron ever had, in order."""
    rows = CronEvent.objects.using(conf().database).of_type(EventType.CRON_REGISTERED)
    found = set(rows.order_by().values_list("cron", flat=True))
    return sorted(found.union(*(names for _, names in _renamed())))


def stored_name(name: str) -> str:
    """Under which name the log has a cron, whichever of its names is given; ``name`` itself when the
    log knows none.

    >>> stored_name("daily_report")  # doctest: +SKIP
    'report'
    """
    rows = CronEvent.objects.using(conf().database)
    if not name or rows.filter(stream=cron_stream(name)).exists():
        return name
    return next((stored for stored, names in _renamed() if name in names), name)


def _renamed() -> Iterator[tuple[str, list[str]]]:
    """Stored names, and all the names that each cron had by then, the newest event first."""
    rows = CronEvent.objects.using(conf().database)
    defined = rows.of_type(EventType.CRON_REGISTERED, EventType.CRON_CHANGED)
    renamed = defined.filter(**{f"data__{DEFINITION}__has_key": "names"}).order_by("-id")
    for stored, names in renamed.values_list("cron", f"data__{DEFINITION}__names"):
        if isinstance(names, list):
            yield stored, names


def renames_without_effect(code: Mapping[str, str]) -> list[str]:
    """A sentence for each; ``code``: names, and what each was renamed from, or an empty string. None
    where no cron was ever registered."""
    names = set(known_names())
    told: list[str] = []
    for name, former in code.items():
        if not names or not former:
            continue
        if former not in names:
            told.append(f"Cron {name!r}: renamed_from={former!r} is no cron of the log.")
        elif name in names and stored_name(name) != stored_name(former):
            told.append(
                f"Cron {name!r}: renamed_from={former!r} has no effect, because both names have a "
                "history of their own in the log."
            )
    return told


def unknown_cron_text(name: str) -> str:
    """What to say of a cron that the ledger does not have: the closest names and the remedy."""
    return wording.unknown_cron_text(name, known_names())


def told_losses() -> list[Loss]:
    """Whenever the log went back, as far as somebody noticed."""
    rows = CronEvent.objects.using(conf().database).of_type(EventType.LOG_WENT_BACK)
    return [Loss.of(event) for event in rows.order_by("id").events()]


def find_run(text: UUID | str) -> UUID:
    """A run by its id, its job's id, or the first characters of its id, as lists show them.

    Raises UnknownRun when there is none, or more than one.
    """
    if isinstance(text, UUID):
        return text
    digits = text.removeprefix("cron-").replace("-", "").lower()
    if not re.fullmatch(rf"[0-9a-f]{{{PREFIX_CHARS_MIN},32}}", digits):
        raise UnknownRun(
            f"Run {text!r} is not an id. cron_history NAME lists the runs of a cron; the first "
            f"{PREFIX_CHARS_MIN} characters or more are enough."
        )
    if len(digits) == 32:
        return UUID(digits)
    low, high = UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
    rows = CronEvent.objects.using(conf().database).filter(run_id__gte=low, run_id__lte=high)
    found = list(rows.order_by("run_id").values_list("run_id", flat=True).distinct()[:2])
    if not found or found[0] is None:
        raise UnknownRun(
            f"No run begins with {text!r}. cron_history NAME lists the runs of a cron."
        )
    if len(found) > 1:
        raise UnknownRun(f"More than one run begins with {text!r}. Give more of its id.")
    return found[0]
