"""What the table takes, whoever writes: the same on each database, in each one's own SQL.

The database keeps these as CHECKs or triggers, so a change here needs a migration. Types that
these lists do not have are taken in any stream: a later release brings them.
"""

from __future__ import annotations

__all__ = ["DATA_BYTES_MAX", "OUTCOMES_LIST", "REQUESTS_LIST", "TYPES_OF_STREAMS", "sql_list"]

DATA_BYTES_MAX = 4 << 20
"""A message and a traceback at the largest that settings allow have 2 MB."""

TYPES_OF_STREAMS = {
    "cron": (
        "cron_registered", "cron_changed", "cron_retired", "cron_paused", "cron_resumed",
        "cron_rewound", "slot_fired", "slot_skipped", "slot_missed", "run_requested",
    ),
    "run": (
        "run_enqueued", "enqueue_failed", "run_started", "attempt_failed", "run_succeeded",
        "run_failed", "run_stopped", "run_cancelled", "run_declined", "run_lost", "start_refused",
    ),
    "runner": (
        "runner_started", "runner_stopped", "runner_lost", "clock_skewed", "clock_agrees",
    ),
    "ledger": (
        "all_paused", "all_resumed", "projection_rebuilt", "event_accepted", "log_went_back",
        "text_redacted", "texts_expired",
        "events_archived", "events_restored",
    ),
}  # fmt: skip

REQUESTS_LIST = "('slot_fired', 'run_requested')"
"""What begins a run, for IN."""
OUTCOMES_LIST = (
    "('run_succeeded', 'run_failed', 'run_stopped', 'run_cancelled', 'run_declined', 'run_lost')"
)
"""What ends it."""


def sql_list(kind: str) -> str:
    """The types of this kind of stream, for IN."""
    return "(" + ", ".join(f"'{name}'" for name in TYPES_OF_STREAMS[kind]) + ")"
