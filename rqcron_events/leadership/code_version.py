"""Which of the runners that are alive has the newest code, so that a deploy does not flap.

During a rolling deploy old and new code run side by side, and an old process may be started again
after the new one has brought its definitions into the log. A fingerprint of the registry stands in
each ``runner_started``; code that was seen first later is newer. Code that was replaced does not
touch the definitions while a runner with newer code is alive. A roll-back takes effect when the
last of those is gone.
"""

from __future__ import annotations

import hashlib
import json

from ..conf import conf
from ..core.events import EventType, runner_stream
from ..core.events.keys import REGISTRY
from ..models import CronEvent, CronLease
from ..registry import Registry
from .lease import LEADER, beats

__all__ = ["fingerprint", "newer_code_is_alive"]

RUNNERS_MAX = 200


def fingerprint(registry: Registry) -> str:
    """Equal for two processes with the same definitions."""
    definitions = {name: cron.definition.to_data() for name, cron in registry.crons.items()}
    text = json.dumps(definitions, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def newer_code_is_alive(own: str, own_id: str) -> bool:
    """Whether another runner that is alive has code that appeared after this one's."""
    settings = conf()
    alive = (
        CronLease.objects.using(settings.database)
        .exclude(name__in=(LEADER, own_id))
        .filter(beats(settings.lease_seconds))
        .values_list("holder", flat=True)[:RUNNERS_MAX]
    )
    streams = [runner_stream(holder) for holder in alive]
    starts = CronEvent.objects.using(settings.database).of_type(EventType.RUNNER_STARTED)
    others = {
        event.data.get(REGISTRY) for event in starts.filter(stream__in=streams).order_by("id")
    }
    others -= {own, None}
    if not others:
        return False

    def first_seen(code: str) -> int:
        return starts.filter(data__registry=code).order_by("id").values_list("id", flat=True)[0]

    own_start = first_seen(own)
    return any(first_seen(other) > own_start for other in others)
