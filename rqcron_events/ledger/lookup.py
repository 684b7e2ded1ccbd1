"""Finding crons and runs by what people type, and what the log says of its own losses."""

from __future__ import annotations

import re
from uuid import UUID

from ..conf import conf
from ..core import wording
from ..core.audit.findings import Loss
from ..core.events import EventType
from ..errors import UnknownRun
from ..models import CronEvent

__all__ = ["find_run", "known_names", "told_losses", "unknown_cron_text"]

PREFIX_CHARS_MIN = 4


def known_names() -> list[str]:
    """Every cron that was ever registered, by name."""
    rows = CronEvent.objects.using(conf().database).of_type(EventType.CRON_REGISTERED)
    return sorted(set(rows.order_by().values_list("cron", flat=True)))


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
