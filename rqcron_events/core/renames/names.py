"""Which cron of the log each cron of the code is. Pure.

A cron keeps the name under which it was first registered, its *stored name*: stream, run ids, ``H`` and
jitter rest on it, so a rename moves no slot and is no other thing than a change of the definition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

from ..cron_state import CronState
from ..definition import Definition

__all__ = ["Matched", "match_names", "renamed_at", "stored_definition"]


class Matched(NamedTuple):
    """What the crons of the code are in the log."""

    stored: dict[str, str]
    """Stored name by the name in the code; equal for a cron that the log lacks."""
    refused: dict[str, str]
    """By name in the code, why that cron cannot be registered, in a sentence, and the remedy."""


def match_names(code: Mapping[str, str], states: Mapping[str, CronState]) -> Matched:
    """``code``: what the code has, with the ``renamed_from`` of each or an empty string; ``states``
    are those of the log, by stored name.

    What a cron is called now counts first, then what the code says that it was called, then what it
    was ever called: that is code of before the rename, which was brought back.
    """
    present, ever = _names(states)
    called = {stored: name for name, stored in present.items()}
    found = Matched({}, {})
    taken: dict[str, str] = {}

    def claim(name: str, stored: str | None) -> str:
        """Take it, unless another cron has: then that one's name is returned."""
        if stored is None or name in found.stored or name in found.refused:
            return ""
        if stored in taken:
            return taken[stored]
        found.stored[name], taken[stored] = stored, name
        return ""

    for name in code:
        claim(name, present.get(name))
    said_by: dict[str, str] = {}
    for name, former in code.items():
        if not former:
            continue
        first = said_by.setdefault(former, name)
        if first != name:
            found.stored.pop(name, None)
            found.refused[name] = (
                f"Cron {name!r}: renamed_from={former!r} is given by {first!r}, too. Remove one of them."
            )
        elif name in found.stored:
            continue
        elif (own := ever.get(name)) and own != (present.get(former) or ever.get(former)):
            # One name would be two crons: whoever gives it would mean this one, and get that.
            found.refused[name] = _had_that_name(name, taken.get(own) or called[own])
        elif former in code:
            found.refused[name] = (
                f"Cron {name!r}: renamed_from={former!r} names a cron that this code still has. Remove "
                "that cron, or renamed_from."
            )
        elif other := claim(name, present.get(former) or ever.get(former)):
            found.refused[name] = (
                f"Cron {name!r}: renamed_from={former!r} names the history of {other!r}. Remove "
                "renamed_from."
            )
    for name in code:
        if other := claim(name, ever.get(name)):
            found.refused[name] = _had_that_name(name, other)
        if name not in found.refused:
            found.stored.setdefault(name, name)
    return found


def _had_that_name(name: str, other: str) -> str:
    return (
        f"Cron {name!r}: {other!r} had that name before, and its history is stored under it. "
        "Give the cron another name=."
    )


def _names(states: Mapping[str, CronState]) -> tuple[dict[str, str], dict[str, str]]:
    """Stored names, by what each cron is called now, and by all that it was ever called."""
    present: dict[str, str] = {}
    ever: dict[str, str] = {}
    for stored, state in states.items():
        definition = state.last_definition
        present[definition.present_name if definition else stored] = stored
        for name in (stored, *(definition.names if definition else ())):
            ever[name] = stored
    return present, ever


def stored_definition(own: Definition, stored: str, logged: Definition | None) -> Definition:
    """The code's definition as the log has to have it, if it is the cron of that stored name."""
    names = logged.names if logged else ()
    if own.name != (names[-1] if names else stored):
        names = (*(name for name in names or (stored,) if name != own.name), own.name)
    return replace(own, name=stored, names=names)


def renamed_at(state: CronState) -> datetime | None:
    """Since when a cron has been called what it is called now; None: it never had another name."""
    named = [phase for phase in state.phases if phase.definition is not None]
    since: datetime | None = None
    for before, after in pairwise(named):
        assert before.definition is not None
        assert after.definition is not None
        if before.definition.present_name != after.definition.present_name:
            since = after.start
    return since
