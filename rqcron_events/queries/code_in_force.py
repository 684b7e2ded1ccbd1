"""Is the code of this process what the log has in force?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from ..core.cron_state import CronState
from ..core.explain.obstacles import Obstacle, ObstacleKind
from ..core.renames.names import match_names, stored_definition
from ..core.wording import clause, shown
from ..registry import registry

__all__ = ["code_obstacles"]

REGISTERS = "A runner that starts with this code registers it."
VALUE_CHARACTERS_MAX = 60


def code_obstacles(states: Mapping[str, CronState]) -> Iterator[Obstacle]:
    """Cron by cron; ``states`` are those of the log, by name."""
    matched = match_names(registry.names(), states)
    names = {stored: name for name, stored in matched.stored.items()}
    for stored in sorted({*names, *states}):
        state = states.get(stored)
        name = names.get(stored) or (state.present_name if state else stored)
        found = _of_cron(name, state)
        if found is not None:
            yield replace(found, crons=frozenset({stored}))
    for name, why in matched.refused.items():
        text, _, remedy = clause(why).partition(". ")
        yield _obstacle(name, ObstacleKind.CODE_BROKEN, text, f"{remedy}.")


def _of_cron(name: str, state: CronState | None) -> Obstacle | None:
    logged = state.definition if state else None
    if name in registry.problems:
        why = clause(registry.problems[name][0])
        return _obstacle(name, ObstacleKind.CODE_BROKEN, why, "Correct it and deploy again.")
    own = registry.crons.get(name)
    if own is None:
        if logged is None:
            return None  # retired
        broken = registry.broken_module_of(logged.function)
        if broken is not None:
            return _obstacle(
                name,
                ObstacleKind.CODE_BROKEN,
                f"the module of {name!r}, {broken.module}, does not import: {shown(broken.error)}",
                "Its runs fail where the code is this one; correct it and deploy again.",
            )
        return _differs(name, f"{name!r} is in force, but this code does not have it")
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


def _short(value: object) -> str:
    text = shown(repr(value))
    return text if len(text) <= VALUE_CHARACTERS_MAX else f"{text[:VALUE_CHARACTERS_MAX]}..."


def _differs(name: str, text: str) -> Obstacle:
    return _obstacle(name, ObstacleKind.CODE_DIFFERS, text, REGISTERS, is_fault=False)


def _obstacle(
    name: str, kind: ObstacleKind, text: str, remedy: str, *, is_fault: bool = True
) -> Obstacle:
    return Obstacle(kind=kind, text=text, remedy=remedy, crons=frozenset({name}), is_fault=is_fault)
