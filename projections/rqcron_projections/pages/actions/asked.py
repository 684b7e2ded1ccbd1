"""What a form asks for: which crons or run, why, until when. Nothing is done here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.http import QueryDict

from rqcron_events.cli.times import parse_instant
from rqcron_events.errors import CronConfigError, UnknownRun
from rqcron_events.ledger.lookup import find_run, stored_name

from ..frame.permissions import Action
from ..story.called import Called, called

__all__ = ["Asked", "asked_of"]

CRONS_MAX = 200
"""Of one request: a page of the overview has fewer."""
NEEDS_REASON = frozenset({Action.PAUSE})
OF_MANY = frozenset({Action.PAUSE, Action.RESUME, Action.TRIGGER})


@dataclass(slots=True, kw_only=True)
class Asked:
    """The values of a form."""

    crons: list[Called] = field(default_factory=list)
    everything: bool = False
    """All crons, those to come included: of pause and resume."""
    run: UUID | None = None
    """The run to do again."""
    reason: str = ""
    until_text: str = ""
    until: datetime | None = None
    problems: list[str] = field(default_factory=list)
    """Sentences; with one of them nothing is done."""

    @property
    def names(self) -> Sequence[str]:
        return [cron.stored_name for cron in self.crons]


def asked_of(alias: str, action: Action, given: QueryDict, *, is_final: bool) -> Asked:
    """Never raises for what is wrong in it. ``is_final``: it shall be done, so nothing may lack."""
    found = Asked(
        everything=given.get("all") == "1" and action in (Action.PAUSE, Action.RESUME),
        reason=given.get("reason", "").strip(),
        until_text=given.get("until", "").strip() if action is Action.PAUSE else "",
    )
    if action is Action.RERUN:
        _read_run(found, given.get("run", ""))
    elif not found.everything:
        _read_crons(found, alias, action, given.getlist("cron"))
    if found.until_text:
        _read_until(found)
    if is_final and action in NEEDS_REASON and not found.reason:
        found.problems.append(
            "Give a reason: it is shown wherever somebody asks why the slots were skipped."
        )
    return found


def _read_crons(found: Asked, alias: str, action: Action, names: Sequence[str]) -> None:
    stored = list(dict.fromkeys(stored_name(name.replace("\0", "")) for name in names if name))
    if not stored:
        found.problems.append("No cron is chosen. Choose one in the overview.")
    if len(stored) > (CRONS_MAX if action in OF_MANY else 1):
        found.problems.append(f"{len(stored)} crons are too many for this. Choose fewer.")
        return
    known = called(alias, stored)
    found.crons = [known[name] for name in stored]


def _read_run(found: Asked, text: str) -> None:
    try:
        found.run = find_run(text.replace("\0", ""))
    except UnknownRun as error:
        found.problems.append(str(error))


def _read_until(found: Asked) -> None:
    cron = found.names[0] if len(found.names) == 1 else ""
    try:
        found.until = parse_instant(found.until_text, "Until", cron=cron, future=True)
    except CronConfigError as error:
        found.problems.append(str(error))
