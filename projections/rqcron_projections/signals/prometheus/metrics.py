"""Every metric by name. ``docs/metrics.md`` has the same table; a test compares them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...cron_total import MEASURES

__all__ = ["METRICS", "Metric"]

Kind = Literal["gauge", "counter", "summary", "histogram"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One family of samples."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()


def _cron(name: str, kind: Kind, text: str, *labels: str) -> Metric:
    return Metric(name=f"rqcron_cron_{name}", kind=kind, help=text, labels=("cron", *labels))


def _one(name: str, kind: Kind, text: str, *labels: str) -> Metric:
    return Metric(name=f"rqcron_{name}", kind=kind, help=text, labels=labels)


_MEASURED = {
    "lateness": "From the moment that a slot was due to its decision",
    "queue_wait": "From enqueued to started",
    "duration": "Of the last attempt of each run",
}
assert tuple(_MEASURED) == MEASURES

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        _cron("info", "gauge", "1 for each cron.", "schedule", "timezone", "queue"),
        _cron("registered_timestamp_seconds", "gauge", "When it was registered first."),
        _cron(
            "next_slot_timestamp_seconds", "gauge", "The first slot that may fire after the last."
        ),
        _cron("last_slot_timestamp_seconds", "gauge", "The last slot that was decided."),
        _cron("last_success_timestamp_seconds", "gauge", "When a run succeeded last."),
        _cron("last_ok_timestamp_seconds", "gauge", "The same, or when one had nothing to do."),
        _cron("last_failure_timestamp_seconds", "gauge", "When a run failed or was lost last."),
        _cron("failing_since_timestamp_seconds", "gauge", "First failure since the last success."),
        _cron("consecutive_failures", "gauge", "Failed or lost runs since the last success."),
        _cron("paused", "gauge", "1 while somebody has paused this cron."),
        _cron("disabled", "gauge", "1 while its code or the settings disable it."),
        _cron("active_runs", "gauge", "Runs that are asked for and have no outcome yet."),
        _cron("unaccounted_slots", "gauge", "Slots of the last day that are due and not decided."),
        _cron("max_lateness_seconds", "gauge", "Its max_lateness, if it has one."),
        _cron("max_age_seconds", "gauge", "Its max_age, if it has one."),
        _cron("max_failures", "gauge", "Its max_failures, if it has one."),
        _cron(
            "slots_total", "counter", "Slots by what was decided, and why.", "decision", "reason"
        ),
        _cron("runs_total", "counter", "Runs by outcome.", "outcome"),
        _cron("runs_requested_total", "counter", "Runs that somebody asked for."),
        _cron("failed_attempts_total", "counter", "Failed tries that another try followed."),
        *(_cron(f"{name}_seconds", "summary", f"{text}.") for name, text in _MEASURED.items()),
        *(
            _one(f"{name}_seconds", "histogram", f"{text}; all crons.")
            for name, text in _MEASURED.items()
        ),
        _one("crons", "gauge", "Crons by status.", "status"),
        _one("crons_left_out", "gauge", "Crons without series, by why.", "reason"),
        _one("totals_unreadable", "gauge", "Crons whose counters and histograms are missing."),
        _one("runner_alive", "gauge", "1 while somebody decides, as cron_health sees it."),
        _one("runner_leading", "gauge", "1 for who leads, or led last.", "runner"),
        _one("runner_heartbeat_age_seconds", "gauge", "Since the leader's last heartbeat."),
        _one("runners", "gauge", "Runners with a heartbeat."),
        _one("redis_up", "gauge", "1 for each Redis of RQ_QUEUES that answers.", "redis"),
        _one("spool_runs", "gauge", "Runs whose events wait in Redis.", "redis"),
        _one("spool_refused_entries", "gauge", "Entries that nobody could believe.", "redis"),
        _one(
            "projection_lag_events", "gauge", "Events that are not in its rows yet.", "projection"
        ),
        _one("projection_outdated", "gauge", "1: an older release built its rows.", "projection"),
        _one("signals_waiting", "gauge", "Alerts or check-ins that wait.", "signal", "to"),
        _one(
            "signals_oldest_timestamp_seconds",
            "gauge",
            "Since when the oldest of these waits.",
            "signal",
            "to",
        ),
        _one("log_newest_event", "gauge", "Id of the newest event."),
        _one("log_size_bytes", "gauge", "Room that the log takes in the database."),
        _one("quarantined_events", "gauge", "Events that a reader could not read."),
        _one("scrape_part_ok", "gauge", "0: this part of the scrape is missing.", "part"),
        _one("scrape_duration_seconds", "gauge", "How long this scrape took."),
    )
}
