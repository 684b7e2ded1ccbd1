"""Is the code of this process what the log has in force?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from ..core.cron_state import CronState
from ..core.explain.obstacles import Obstacle, ObstacleKind
from ..core.renames.names import match_names, stored_definition
from ..core.wording import clause, shown
from ..ledger import lookup
from ..registry import registry

__all__ = ["code_obstacles", "unknown_cron_text"]

REGISTERS = "A runner that starts with this code registers it."
RETIRES = "A runner that starts with this code retires it."
CRONS_TOLD_MAX = 5
"""Of a module that does not import."""
VALUE_CHARACTERS_MAX = 60


def code_obstacles(states: Mapping[str, CronState]) -> Iterator[Obstacle]:
    """Cron by cron, after the modules that do not import; ``states`` are those of the log, by stored
    name."""
    matched = match_names(registry.names(), states)
    names = {stored: name for name, stored in matched.stored.items()}
    told: set[str] = set()
    for module, (error, crons) in _broken_modules(states, names).items():
        yield _does_not_import(module, error, crons)
        told |= {*crons}
    for stored in sorted({*names, *states} - told):
        state = states.get(stored)
        name = names.get(stored) or (state.present_name if state else stored)
        found = _of_cron(name, state)
        if found is not None:
            yield replace(found, crons=frozenset({stored}))
    for name, why in matched.refused.items():
        text, _, remedy = clause(why).partition(". ")
        yield _obstacle(name, ObstacleKind.CODE_BROKEN, text, f"{remedy}.")


def unknown_cron_text(name: str) -> str:
    """What to say of a cron that the log does not have: that it is in this code, or the closest names,
    and the remedy."""
    registry.discover()
    if name in registry.problems:
        return f"{shown(registry.problems[name][0])} Correct it and deploy again."
    if name in registry.crons:
        return f"Cron {name!r} is in this code, but not registered yet. {REGISTERS}"
    return lookup.unknown_cron_text(name)


def _of_cron(name: str, state: CronState | None) -> Obstacle | None:
    logged = state.definition if state else None
    if name in registry.problems:
        why = clause(registry.problems[name][0])
        return _obstacle(name, ObstacleKind.CODE_BROKEN, why, "Correct it and deploy again.")
    own = registry.crons.get(name)
    if own is None:
        if logged is None:
            return None  # retired
        return _differs(name, f"{name!r} is in force, but this code does not have it", RETIRES)
    if logged is None:
        return _differs(name, f"{name!r} is in this code, but not registered yet")
    assert state is not None
    changes = logged.changes_to(stored_definition(own.definition, state.name, logged))
    if not changes:
        return None
    told = ", ".join(
        f"{field} {_short(old)} in force, {_short(new)} in this code"
        for field, (old, new) in changes.items()
    )
    return _differs(name, f"the deployed code of {name!r} differs from what is in force: {told}")


def _broken_modules(
    states: Mapping[str, CronState], in_code: Mapping[str, str]
) -> dict[str, tuple[str, list[str]]]:
    """By name, each with its error and the crons in force that are in it, by stored name; ``in_code``
    are those that this code has."""
    found: dict[str, tuple[str, list[str]]] = {}
    for name in sorted(states.keys() - in_code.keys()):
        logged = states[name].definition
        broken = registry.broken_module_of(logged.function) if logged else None
        if broken is not None:
            found.setdefault(broken.module, (broken.error, []))[1].append(name)
    return found


def _does_not_import(module: str, error: str, crons: list[str]) -> Obstacle:
    """One for the module, however many crons are in it."""
    more = len(crons) - CRONS_TOLD_MAX
    named = ", ".join(map(repr, crons[:CRONS_TOLD_MAX])) + (f" and {more} more" if more > 0 else "")
    whose = "Its" if len(crons) == 1 else "Their"
    return Obstacle(
        kind=ObstacleKind.CODE_BROKEN,
        text=f"the module of {named}, {module}, does not import: {shown(error)}",
        remedy=f"{whose} runs fail where the code is this one; correct it and deploy again.",
        crons=frozenset(crons),
    )


def _short(value: object) -> str:
    text = shown(repr(value))
    return text if len(text) <= VALUE_CHARACTERS_MAX else f"{text[:VALUE_CHARACTERS_MAX]}..."


def _differs(name: str, text: str, remedy: str = REGISTERS) -> Obstacle:
    return _obstacle(name, ObstacleKind.CODE_DIFFERS, text, remedy, is_fault=False)


def _obstacle(
    name: str, kind: ObstacleKind, text: str, remedy: str, *, is_fault: bool = True
) -> Obstacle:
    return Obstacle(kind=kind, text=text, remedy=remedy, crons=frozenset({name}), is_fault=is_fault)
