"""Every constructor of ``core.events.make``, called with as little and with as much as it takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NotRequired, get_args, get_origin, get_type_hints
from uuid import UUID

from rqcron_events.core.events import Event, EventType, make

SLOT = datetime(2026, 3, 2, 14, tzinfo=UTC)
LATER = datetime(2026, 3, 2, 14, 0, 1, 500_000, tzinfo=UTC)
RUN = UUID("3f3e3b65-4508-5d1e-a116-0023dd24a95f")
OTHER_RUN = UUID("0c9f9d46-3f6b-4f0e-9d0a-6a2f60f4f1b7")

VALUES: dict[str, Any] = {
    "actor": "ann",
    "args": [1, "b"],
    "at": LATER,
    "attempt": 2,
    "changes": {"overlap": [None, "skip"]},
    "count": 3,
    "cron": "alpha",
    "croniter": "7.0.1",
    "crons": 12,
    "definition": {"name": "alpha", "function": "shop:alpha"},
    "definition_version": 4,
    "duration_seconds": 1.25,
    "effective_from": LATER,
    "epoch": 1,
    "error": {"type": "ValueError", "message": "no", "traceback": "ValueError: no"},
    "error_message": "refused",
    "error_type": "ConnectionError",
    "event_id": 120,
    "events": 40,
    "evidence": {"max_lateness_seconds": 60.0},
    "first": SLOT,
    "first_id": 1,
    "first_number": 0,
    "found": "RQ says so",
    "held_up": {"since": None, "until": None, "cause": "no_runner", "runner": ""},
    "host": "web-1",
    "jitter_seconds": 0.5,
    "job_created_at": "2026-03-02T14:00:00+00:00",
    "job_enqueued_at": "",
    "job_id": f"cron-{RUN}",
    "label": "again",
    "last": SLOT,
    "last_id": 52,
    "last_heartbeat": LATER,
    "lateness_seconds": 1.5,
    "of": OTHER_RUN,
    "path": "segments/a.jsonl.gz",
    "pid": 42,
    "projection": "runs",
    "projection_version": 1,
    "queue": "high",
    "reason": "why",
    "recovered": {"from": ["redis"], "status": "finished"},
    "registry": "8b1a9953c4611296",
    "result": "[1]",
    "retries_left": 0,
    "before": SLOT,
    "event_ids": [120388],
    "removed": 2,
    "run_ids": [str(RUN)],
    "until_event": 98214,
    "rows": 10,
    "run_id": RUN,
    "runner_id": "web-1-42",
    "database_skew_seconds": -86400.5,
    "kwargs": {"dry": True},
    "not_before": LATER,
    "kept": [(SLOT, LATER)],
    "schedule_reading": 2,
    "since": SLOT,
    "segments": 2,
    "sha256": "e3b0",
    "size": 40,
    "skew_seconds_max": 10.0,
    "slot": SLOT,
    "watermark": LATER,
    "stream": "cron/alpha",
    "streams": {"cron/alpha": [9, 7]},
    "trigger": "manual",
    "once": "cron_run --once",
    "tzdata": "2026a",
    "until": LATER,
    "version": 7,
    "worker": "4f1d",
}

NEXT_TO_TYPES = ("attempt_died", "spooled")
"""Constructors that are not one type's own: a second way to ``attempt_failed``, and of any type."""


def of_type(event_type: EventType) -> list[Callable[..., Event]]:
    """The constructors that make events of that type."""
    own: list[Callable[..., Event]] = [getattr(make, event_type.value)]
    return [*own, make.attempt_died] if event_type is EventType.ATTEMPT_FAILED else own


def with_little(constructor: Callable[..., Event], **values: Any) -> Event:
    """Called without what may be left out."""
    needed = [name for name, is_needed in _parameters(constructor) if is_needed]
    return constructor(**{**{name: VALUES[name] for name in needed}, **values})


def with_all(constructor: Callable[..., Event], **values: Any) -> Event:
    return constructor(**{name: VALUES[name] for name, _ in _parameters(constructor)} | values)


def _parameters(constructor: Callable[..., Event]) -> Iterator[tuple[str, bool]]:
    """The keywords that it takes, those of its TypedDict included, and whether it needs them."""
    hints = get_type_hints(constructor)
    for name, parameter in inspect.signature(constructor).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            [place] = get_args(hints[name])
            for key, hint in get_type_hints(place, include_extras=True).items():
                yield key, get_origin(hint) is not NotRequired
        else:
            yield name, parameter.default is inspect.Parameter.empty
