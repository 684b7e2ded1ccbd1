"""Bringing the code's crons into the log: registered, changed, retired."""

from __future__ import annotations

import logging
from datetime import datetime

from .. import clock
from ..core.cron_state import CronState
from ..core.definition import Definition
from ..core.events import Event, make
from ..core.events.make import InCron
from ..core.renames.names import match_names, stored_definition
from ..core.wording import clause
from ..errors import EventRefused, VersionConflict
from ..ledger import store
from ..ledger.cron_states import States
from ..registry import Registry

__all__ = ["sync"]

log = logging.getLogger(__name__)


def sync(registry: Registry, states: States, actor: str) -> list[Event]:
    """Append the difference between the code and the log, and return it.

    From then on decisions use the logged definitions. A cron whose module does not import, or
    whose new options are wrong, keeps the definition that it has: a typo must not retire it.

    Where another runner that starts at the same time is first, what is left of the difference is
    found again. What the database refuses of one cron is left out, and tried again at the next
    start. Raises VersionConflict after twenty tries.
    """
    appended: list[Event] = []
    left_out: set[str] = set()
    _say_refused(registry, states)
    for _ in range(store.TRIES_MAX):
        difference = [
            event for event in _difference(registry, states, actor) if event.cron not in left_out
        ]
        result = store.append_batches([event] for event in difference)
        for (event,) in result.accepted:
            states.apply([event])
            appended.append(event)
            log.info(
                "%s: %s",
                event.type.value,
                event.cron,
                extra={"action": event.type.value, "cron": event.cron},
            )
        for unfit in result.unfit:
            left_out.add(unfit.batch[0].cron)
            _say_left_out(unfit.batch[0], unfit.why)
        if not result.refused:
            return appended
        for (event,) in result.refused:
            states.reload(event.cron)
    raise VersionConflict(event.stream, event.version)


def _say_refused(registry: Registry, states: States) -> None:
    """Crons whose names are the matter, and those whose ``renamed_from`` comes too late."""
    matched = match_names(registry.names(), states.crons)
    for name, why in matched.refused.items():
        log.error("%s", why, extra={"action": "cron_not_registered", "cron": name})
    for name, stored in matched.stored.items():
        former = states.crons.get(registry.renamed_from.get(name, ""))
        if former is not None and stored in states.crons and former.name != stored:
            log.warning(
                "Cron %s: renamed_from=%r has no effect: both names have a history of their own in the "
                "log. Remove renamed_from.",
                name,
                former.name,
                extra={"action": "not_renamed", "cron": name},
            )


def _say_left_out(event: Event, why: EventRefused) -> None:
    log.error(
        "Cron %s: the database refuses its %s (%s). Its logged definition stays in effect; the "
        "other crons are not affected. Change the definition in the code and start a runner again.",
        event.cron,
        event.type.value,
        clause(why),
        extra={"action": "cron_not_registered", "cron": event.cron},
    )


def _difference(registry: Registry, states: States, actor: str) -> list[Event]:
    now = clock.now()
    matched = match_names(registry.names(), states.crons)
    # What the log says of a cron that is set aside is not known, so it differs from nothing.
    defined = [
        _register(registry.crons[name].definition, stored, states, actor, now)
        for name, stored in matched.stored.items()
        if name in registry.crons and not states.is_set_aside(stored)
    ]
    kept = set(matched.stored.values())
    retired = [
        _retire(state, registry, actor, now)
        for state in states.crons.values()
        if state.name not in kept and not states.is_set_aside(state.name)
    ]
    return [event for event in (*defined, *retired) if event is not None]


def _register(
    own: Definition, stored: str, states: States, actor: str, now: datetime
) -> Event | None:
    state = states.crons.get(stored) or CronState(stored)
    logged = state.definition
    definition = stored_definition(own, stored, state.last_definition)
    if logged == definition:
        return None
    data = definition.to_data()
    version = 1 + (state.current.definition_version if state.current else 0)
    start = _effective_from(state, now)
    if logged is None:
        return make.cron_registered(
            definition=data,
            definition_version=version,
            effective_from=start,
            **_place(state, actor, now),
        )
    return make.cron_changed(
        definition=data,
        definition_version=version,
        effective_from=start,
        changes=logged.changes_to(definition),
        **_place(state, actor, now),
    )


def _retire(state: CronState, registry: Registry, actor: str, now: datetime) -> Event | None:
    logged = state.definition
    if logged is None or not registry.knows_module_of(logged):
        return None
    assert state.current is not None
    return make.cron_retired(
        definition_version=state.current.definition_version,
        effective_from=_effective_from(state, now),
        **_place(state, actor, now),
    )


def _effective_from(state: CronState, now: datetime) -> datetime:
    """Now; or later, where a clock went back, so that no decided slot is judged again."""
    starts = [phase.start for phase in state.phases[-1:]]
    return max([now, *starts, *([state.watermark] if state.watermark else [])])


def _place(state: CronState, actor: str, now: datetime) -> InCron:
    return InCron(cron=state.name, version=state.version + 1, actor=actor, at=now)
