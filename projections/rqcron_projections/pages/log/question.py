"""What somebody asks of the log, as the form and the address say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import QueryDict

from rqcron_events.cli.times import parse_instant, require_range
from rqcron_events.core.events import DECISIONS, OUTCOMES, RUNNER_TYPES, EventType
from rqcron_events.core.wording import did_you_mean
from rqcron_events.errors import CronError
from rqcron_events.ledger.lookup import find_run, known_names, stored_name
from rqcron_events.models import CronEvent

from .search import Place, Wanted

__all__ = ["GROUPS", "Question", "question_of"]

GROUPS: dict[str, tuple[str, frozenset[str]]] = {
    "decisions": ("decisions about slots", frozenset(DECISIONS)),
    "passed_over": (
        "slots skipped or missed",
        frozenset({EventType.SLOT_SKIPPED, EventType.SLOT_MISSED}),
    ),
    "definitions": (
        "changes of definitions",
        frozenset({EventType.CRON_REGISTERED, EventType.CRON_CHANGED, EventType.CRON_RETIRED}),
    ),
    "people": (
        "what people did",
        frozenset(
            {
                EventType.CRON_PAUSED,
                EventType.CRON_RESUMED,
                EventType.CRON_REWOUND,
                EventType.RUN_REQUESTED,
                EventType.RUN_CANCELLED,
                EventType.ALL_PAUSED,
                EventType.ALL_RESUMED,
                EventType.EVENT_ACCEPTED,
            }
        ),
    ),
    "outcomes": ("how runs ended", frozenset(OUTCOMES)),
    "failures": (
        "failures",
        frozenset(
            {
                EventType.RUN_FAILED,
                EventType.RUN_LOST,
                EventType.ATTEMPT_FAILED,
                EventType.ENQUEUE_FAILED,
            }
        ),
    ),
    "runners": ("runners", frozenset(RUNNER_TYPES)),
}
"""Types that people look for together: their key in addresses, words, and types."""
FIELDS = ("cron", "event", "run", "slot", "attempt", "reason", "actor", "stream", "since", "until")
ATTEMPT_MAX = 2**31 - 1


@dataclass(slots=True, kw_only=True)
class Question:
    """The form as it was sent, and what it asks."""

    values: dict[str, str]
    """By field, as they were written."""
    wanted: Wanted = field(default_factory=Wanted)
    before: Place | None = None
    """The page begins there; None: with the newest event."""
    problems: list[str] = field(default_factory=list)
    """Sentences; with one of them nothing is searched."""

    @property
    def parameters(self) -> str:
        """Of the address of the same question, from the newest event on."""
        return urlencode({name: value for name, value in self.values.items() if value})

    def parameters_before(self, place: Place) -> str:
        """Of its page from a place on."""
        at = place.occurred_at.astimezone(UTC).isoformat()
        asked = {name: value for name, value in self.values.items() if value}
        return urlencode({**asked, "before": f"{at}~{place.id}"})


def question_of(given: QueryDict) -> Question:
    """Never raises for what is wrong in it: that stands in ``problems``."""
    values = {name: given.get(name, "").strip() for name in FIELDS}
    found = Question(values=values)
    known: dict[str, Any] = {}
    for read in (_cron, _event, _run, _slot, _attempt, _range):
        try:
            known |= read(values)
        except CronError as error:
            found.problems.append(str(error))
        except ValueError as error:
            found.problems.append(str(error))
    found.before = _place(given.get("before", ""))
    if not found.problems:
        known |= {name: values[name].replace("\0", "") for name in ("reason", "actor", "stream")}
        found.wanted = Wanted(**known)
    return found


def _cron(values: Mapping[str, str]) -> dict[str, Any]:
    name = stored_name(values["cron"].replace("\0", ""))
    if name and not CronEvent.objects.for_cron(name).exists():
        near = did_you_mean(name, known_names())
        raise ValueError(
            f"No event is about a cron {name!r}. {near or 'The overview has all names.'}"
        )
    return {"cron": name}


def _event(values: Mapping[str, str]) -> dict[str, Any]:
    asked = values["event"]
    if not asked:
        return {}
    if asked in GROUPS:
        return {"types": GROUPS[asked][1]}
    if asked in list(EventType):
        return {"types": frozenset({asked})}
    raise ValueError(f"Event {asked!r} is unknown. Choose one from the list.")


def _run(values: Mapping[str, str]) -> dict[str, Any]:
    found: UUID | None = find_run(values["run"]) if values["run"] else None
    return {"run_id": found}


def _slot(values: Mapping[str, str]) -> dict[str, Any]:
    if not values["slot"]:
        return {}
    if not values["cron"]:
        raise ValueError("A slot is looked for within one cron: give the cron as well, or a time.")
    return {"slot": parse_instant(values["slot"], "Slot", cron=values["cron"])}


def _attempt(values: Mapping[str, str]) -> dict[str, Any]:
    text = values["attempt"]
    if not text:
        return {}
    if not (text.isascii() and text.isdigit() and int(text) <= ATTEMPT_MAX):
        raise ValueError(f"Attempt {text!r} is not a number. Give 1 or more.")
    return {"attempt": int(text)}


def _range(values: Mapping[str, str]) -> dict[str, Any]:
    cron, found = values["cron"], dict[str, Any](since=None, until=None)
    if values["since"]:
        found["since"] = parse_instant(values["since"], "Since", cron=cron)
    if values["until"]:
        found["until"] = parse_instant(values["until"], "Until", cron=cron, after=found["since"])
    if found["since"] and found["until"]:
        require_range(found["since"], found["until"], "Since", "Until", cron=cron)
    return found


def _place(text: str) -> Place | None:
    """None for what no page gave: then the newest page is shown."""
    at, _, id_ = text.partition("~")
    try:
        found = datetime.fromisoformat(at)
        number = int(id_)
    except ValueError:
        return None
    if found.tzinfo is None or not 0 <= number < 2**63:
        return None
    return Place(found, number)
