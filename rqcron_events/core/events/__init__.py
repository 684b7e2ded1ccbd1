"""The facts that the log holds: ``types``, then ``event``; ``keys`` names what is in their data.

``make`` has a function for each type, the only way in which new ones are made. All of it is
described in ``docs/events.md``.

Wire names are literals in the past tense. Three times are kept apart: ``scheduled_for`` (the
slot), ``occurred_at`` (the writer's clock) and ``recorded_at`` (the database's clock).
"""

from .event import LEDGER_STREAM, Event, cron_stream, run_stream, runner_stream
from .types import DECISIONS, DEFINITION_TYPES, OUTCOMES, RUNNER_TYPES, SUCCESSES, EventType, Reason

__all__ = [
    "DECISIONS",
    "DEFINITION_TYPES",
    "LEDGER_STREAM",
    "OUTCOMES",
    "RUNNER_TYPES",
    "SUCCESSES",
    "Event",
    "EventType",
    "Reason",
    "cron_stream",
    "run_stream",
    "runner_stream",
]
