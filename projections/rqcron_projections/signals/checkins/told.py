"""What a monitor is told, in words that no protocol knows of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from rqcron_events.core.events import Reason
from rqcron_events.core.run_state import RunStatus
from rqcron_events.core.wording import shown

from ..models import CheckIn, CheckInKind
from .lane import is_good

__all__ = ["Told", "told_of"]

_EXIT_STATUS = {Reason.EXCEPTION.value: 1, Reason.TIMEOUT.value: 124}
"""As an interpreter and timeout(1) end. A worker that is killed has none that the log knows."""
_REASONS = frozenset(reason.value for reason in Reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One check-in."""

    state: Literal["begin", "good", "bad", "note"]
    """``note``: nothing that counts for the monitor."""
    run_id: UUID | None
    text: str
    """One line for people."""
    exit_status: int | None = None
    """Of a failed run; None: nobody knows one."""
    duration_seconds: float | None = None
    """From the first start to the end, where the monitor was told of both; otherwise of the last try."""


def told_of(row: CheckIn, called: str, begun_at: datetime | None) -> Told:
    """``begun_at``: when the run began, if the monitor was told of it.

    A run that was cancelled before it began is nothing that a monitor waits for."""
    kind, detail = row.kind, row.detail
    if kind == CheckInKind.BEGIN:
        return Told(state="begin", run_id=row.run_id, text=_text(row, called))
    is_note = row.fate == RunStatus.CANCELLED and begun_at is None
    if kind == CheckInKind.NOTE or is_note:
        return Told(state="note", run_id=row.run_id, text=_text(row, called))
    seconds = detail.get("duration_seconds")
    if begun_at is not None:
        seconds = max((row.at - begun_at).total_seconds(), 0.0)
    good = is_good(row)
    failed = row.fate == RunStatus.FAILED
    return Told(
        state="good" if good else "bad",
        run_id=row.run_id,
        text=_text(row, called),
        exit_status=_EXIT_STATUS.get(detail.get("reason", "")) if failed else None,
        duration_seconds=seconds if isinstance(seconds, int | float) else None,
    )


def _text(row: CheckIn, called: str) -> str:
    """Without what people wrote: a reason is told where it is one of ours."""
    detail: dict[str, Any] = row.detail
    reason = detail.get("reason")
    why = [
        text for text in (reason if reason in _REASONS else None, detail.get("error_type")) if text
    ]
    parts = [f"{called}: {row.fate}" + (f" ({', '.join(why)})" if why else "")]
    if detail.get("count", 1) != 1:
        parts.append(f"{detail['count']} slots from {detail.get('first')}")
    if detail.get("slot"):
        parts.append(f"slot {detail['slot']}")
    if detail.get("attempt", 1) != 1:
        parts.append(f"attempt {detail['attempt']}")
    return shown(", ".join(parts))
