"""The wire names of events, and the reasons that they give."""

from __future__ import annotations

from enum import StrEnum

__all__ = [
    "DECISIONS",
    "DEFINITION_TYPES",
    "OUTCOMES",
    "RUNNER_TYPES",
    "SUCCESSES",
    "EventType",
    "Reason",
]


class EventType(StrEnum):
    """The wire name of every event."""

    CRON_REGISTERED = "cron_registered"
    CRON_CHANGED = "cron_changed"
    CRON_RETIRED = "cron_retired"
    CRON_PAUSED = "cron_paused"
    CRON_RESUMED = "cron_resumed"
    CRON_REWOUND = "cron_rewound"
    SLOT_FIRED = "slot_fired"
    SLOT_SKIPPED = "slot_skipped"
    SLOT_MISSED = "slot_missed"
    RUN_REQUESTED = "run_requested"

    RUN_ENQUEUED = "run_enqueued"
    ENQUEUE_FAILED = "enqueue_failed"
    RUN_STARTED = "run_started"
    ATTEMPT_FAILED = "attempt_failed"
    RUN_SUCCEEDED = "run_succeeded"
    RUN_FAILED = "run_failed"
    RUN_STOPPED = "run_stopped"
    RUN_CANCELLED = "run_cancelled"
    RUN_DECLINED = "run_declined"
    RUN_LOST = "run_lost"
    START_REFUSED = "start_refused"

    RUNNER_STARTED = "runner_started"
    RUNNER_STOPPED = "runner_stopped"
    RUNNER_LOST = "runner_lost"
    CLOCK_SKEWED = "clock_skewed"
    CLOCK_AGREES = "clock_agrees"

    ALL_PAUSED = "all_paused"
    ALL_RESUMED = "all_resumed"
    PROJECTION_REBUILT = "projection_rebuilt"
    EVENT_ACCEPTED = "event_accepted"
    LOG_WENT_BACK = "log_went_back"
    TEXT_REDACTED = "text_redacted"
    TEXTS_EXPIRED = "texts_expired"
    EVENTS_ARCHIVED = "events_archived"
    EVENTS_RESTORED = "events_restored"


DECISIONS = frozenset({EventType.SLOT_FIRED, EventType.SLOT_SKIPPED, EventType.SLOT_MISSED})
"""Each covers slots of its cron; ``scheduled_for`` is the last slot that it covers."""

DEFINITION_TYPES = (
    EventType.CRON_REGISTERED,
    EventType.CRON_CHANGED,
    EventType.CRON_RETIRED,
    EventType.CRON_PAUSED,
    EventType.CRON_RESUMED,
    EventType.CRON_REWOUND,
)
"""What changes which definition is in force, whether it is paused, and from where slots count."""

RUNNER_TYPES = (EventType.RUNNER_STARTED, EventType.RUNNER_STOPPED, EventType.RUNNER_LOST)

OUTCOMES = frozenset(
    {
        EventType.RUN_SUCCEEDED,
        EventType.RUN_FAILED,
        EventType.RUN_STOPPED,
        EventType.RUN_CANCELLED,
        EventType.RUN_DECLINED,
        EventType.RUN_LOST,
    }
)
"""Each ends its run; a run has exactly one."""

SUCCESSES = frozenset({EventType.RUN_SUCCEEDED, EventType.RUN_DECLINED})
"""What the run was for is done: it is never started again."""


class Reason(StrEnum):
    """Why a slot did not fire, or how a run ended. Complete facts, for people and for queries."""

    OVERLAP = "overlap"
    PAUSED = "paused"
    ALL_PAUSED = "all_paused"
    DISABLED = "disabled"
    """By the code or the settings of the deploy that is in force."""

    TOO_LATE = "too_late"
    SUPERSEDED = "superseded"
    RETIRED = "retired"
    """The cron left the code before anybody decided the slot."""
    DECISION_LOST = "decision_lost"
    """It was decided, and the log went back behind that; no trace of a run is left."""

    EXCEPTION = "exception"
    TIMEOUT = "timeout"
    WORKER_KILLED = "worker_killed"
    RETRY_RETURNED = "retry_returned"
    """The function returned RQ's Retry."""
    NOT_REGISTERED = "not_registered"
    """The worker's code has no such cron, or its module does not import."""

    REFUSED = "refused"
    """RQ takes no job for this run, though Redis answers."""

    ALREADY_RUNNING = "already_running"
    ALREADY_SUCCEEDED = "already_succeeded"
    ALREADY_ENDED = "already_ended"
    """It failed or was stopped, and the job was created anew without anybody asking for it."""
    UNREADABLE = "unreadable"
    """An event of the run cannot be read: it may have succeeded already."""
    ARCHIVED = "archived"
    """The run's events are in the archive, so it has ended."""
