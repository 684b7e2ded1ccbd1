"""One function per event type: the only place that chooses an event's stream, type and payload.

All take keywords only; ``version`` is the event's place in its stream, and ``at`` the writer's
clock, UTC. What is None, or not given, is absent from the payload, unless it says null.
Keep the order of the keys: SQLite stores the text as it is written here.

``models``, ``codec`` and ``clean_run`` give back events that were made before.
"""

from __future__ import annotations

from .crons import (
    InCron,
    PassedOver,
    Trigger,
    cron_changed,
    cron_paused,
    cron_registered,
    cron_resumed,
    cron_retired,
    cron_rewound,
    run_requested,
    slot_fired,
    slot_missed,
    slot_skipped,
)
from .runs import (
    AttemptEnd,
    FoundEnd,
    InRun,
    attempt_died,
    attempt_failed,
    enqueue_failed,
    run_cancelled,
    run_declined,
    run_enqueued,
    run_failed,
    run_lost,
    run_started,
    run_stopped,
    run_succeeded,
    spooled,
    start_refused,
)
from .unnumbered import (
    LOG_FORMAT,
    all_paused,
    all_resumed,
    clock_agrees,
    clock_skewed,
    event_accepted,
    events_archived,
    events_restored,
    log_went_back,
    projection_rebuilt,
    runner_lost,
    runner_started,
    runner_stopped,
)

__all__ = [
    "LOG_FORMAT",
    "AttemptEnd",
    "FoundEnd",
    "InCron",
    "InRun",
    "PassedOver",
    "Trigger",
    "all_paused",
    "all_resumed",
    "attempt_died",
    "attempt_failed",
    "clock_agrees",
    "clock_skewed",
    "cron_changed",
    "cron_paused",
    "cron_registered",
    "cron_resumed",
    "cron_retired",
    "cron_rewound",
    "enqueue_failed",
    "event_accepted",
    "events_archived",
    "events_restored",
    "log_went_back",
    "projection_rebuilt",
    "run_cancelled",
    "run_declined",
    "run_enqueued",
    "run_failed",
    "run_lost",
    "run_requested",
    "run_started",
    "run_stopped",
    "run_succeeded",
    "runner_lost",
    "runner_started",
    "runner_stopped",
    "slot_fired",
    "slot_missed",
    "slot_skipped",
    "spooled",
    "start_refused",
]
