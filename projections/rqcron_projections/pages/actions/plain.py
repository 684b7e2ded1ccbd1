"""Pause, resume, run now, rerun: by the functions that the commands use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rqcron_events.conf import conf
from rqcron_events.core.events import LEDGER_STREAM, EventType, cron_stream
from rqcron_events.models import CronEvent
from rqcron_events.operations import controls

from ..frame.permissions import Action
from .asked import Asked

__all__ = ["actor_of", "carry_out", "events_of"]


def actor_of(user: Any) -> str:
    """As the log names somebody who acts on a page."""
    return f"user:{user.get_username()}"


def carry_out(action: Action, asked: Asked, actor: str) -> list[Callable[[], int | None]]:
    """One step for each cron, or for all: each returns the id of the event that it appended, or None
    when there was nothing to do. Steps raise CronError, and nothing is done before they are called."""
    run = asked.run
    if run is not None:
        return [lambda: _requested(controls.rerun(run, reason=asked.reason, by=actor))]
    if asked.everything:
        return [lambda: _everything(action, asked, actor)]
    return [lambda name=name: _one(action, name, asked, actor) for name in asked.names]  # type: ignore[misc]


def events_of(ids: list[int], actor: str) -> list[CronEvent]:
    """Of these events those that the actor made: nobody sees others' here."""
    rows = CronEvent.objects.using(conf().database).filter(id__in=ids, actor=actor)
    return list(rows.order_by("id"))


def _one(action: Action, name: str, asked: Asked, actor: str) -> int | None:
    if action is Action.TRIGGER:
        return _requested(controls.trigger(name, reason=asked.reason, by=actor))
    if action is Action.PAUSE:
        controls.pause(name, reason=asked.reason, until=asked.until, by=actor)
        return _newest(cron_stream(name), EventType.CRON_PAUSED, actor)
    if not controls.resume(name, reason=asked.reason, by=actor):
        return None
    return _newest(cron_stream(name), EventType.CRON_RESUMED, actor)


def _everything(action: Action, asked: Asked, actor: str) -> int | None:
    if action is Action.PAUSE:
        controls.pause_all(reason=asked.reason, until=asked.until, by=actor)
        return _newest(LEDGER_STREAM, EventType.ALL_PAUSED, actor)
    if not controls.resume_all(reason=asked.reason, by=actor):
        return None
    return _newest(LEDGER_STREAM, EventType.ALL_RESUMED, actor)


def _newest(stream: str, kind: EventType, actor: str) -> int | None:
    rows = CronEvent.objects.using(conf().database).filter(stream=stream, type=kind, actor=actor)
    return rows.order_by("-version").values_list("id", flat=True).first()


def _requested(run_id: Any) -> int | None:
    rows = CronEvent.objects.using(conf().database).for_run(run_id)
    return rows.of_type(EventType.RUN_REQUESTED).values_list("id", flat=True).first()
