"""The tables that people read. All can be thrown away and rebuilt from the ledger.

Free text has no length limit: a value that the log accepted must never stop a projection.
"""

from __future__ import annotations

from django.db import models

from rqcron_events.core.run_state import RunStatus

from .cron_total import CronTotal as CronTotal

__all__ = [
    "Checkpoint",
    "CronDay",
    "CronDayState",
    "CronJob",
    "CronJobPast",
    "CronPastPosition",
    "CronRun",
    "CronStatus",
    "CronStatusChange",
    "RunnerSession",
    "SessionEnd",
]

_ACTIONS = ("pause", "resume", "trigger", "rerun", "backfill")
_RUN_STATUSES = [(status.value, status.value.title()) for status in RunStatus]


class CronStatus(models.TextChoices):
    """What a cron is doing; see ``cron_status``."""

    NEW = "new"
    """No run has ended yet."""
    IDLE = "idle"
    """No run has succeeded or failed yet: those that ended found nothing to do."""
    SUCCEEDING = "succeeding"
    FAILING = "failing"
    PAUSED = "paused"
    DISABLED = "disabled"
    """By its code, or by the settings."""
    RETIRED = "retired"


class SessionEnd(models.TextChoices):
    """How a runner's session ended; empty while it goes on."""

    STOPPED = "stopped"
    LOST = "lost"
    """It fell silent; another runner noticed."""


class CronJob(models.Model):
    """What is each cron's state now?"""

    name = models.CharField(max_length=200, primary_key=True)
    status = models.CharField(max_length=20, choices=CronStatus.choices)

    schedule = models.TextField()
    """As people write it: ``0 9 * * 1-5`` or ``every 15m``."""
    timezone = models.TextField()
    queue = models.TextField()
    description = models.TextField(blank=True)
    function = models.TextField()
    definition = models.JSONField()
    """All of it, as logged; the fields above are its most wanted parts."""
    definition_version = models.IntegerField()
    effective_from = models.DateTimeField()
    """Since when this definition is in force."""

    paused_at = models.DateTimeField(null=True, blank=True)
    paused_until = models.DateTimeField(null=True, blank=True)
    """None with ``paused_at`` set: until somebody resumes the cron."""
    paused_by = models.CharField(max_length=200, blank=True)
    pause_reason = models.TextField(blank=True)

    next_slot = models.DateTimeField(null=True, blank=True)
    kept = models.JSONField(default=list, blank=True)
    """``[first, last]`` of slots that fired ahead of their time, before ``cron_rewind``: they do not
    come again."""
    """The first slot that may fire after the last one decided; None when there is none."""
    last_slot = models.DateTimeField(null=True, blank=True)
    """The last slot that was decided."""
    last_decision = models.CharField(max_length=20, blank=True)
    """fired, skipped or missed"""
    last_decision_reason = models.TextField(blank=True)

    last_run_id = models.UUIDField(null=True, blank=True)
    """The run that was asked for last."""
    last_run_status = models.CharField(max_length=20, blank=True, choices=_RUN_STATUSES)
    last_run_started_at = models.DateTimeField(null=True, blank=True)
    last_run_finished_at = models.DateTimeField(null=True, blank=True)
    last_success_at = models.DateTimeField(null=True, blank=True)
    last_failure_at = models.DateTimeField(null=True, blank=True)
    consecutive_successes = models.IntegerField(default=0)
    consecutive_failures = models.IntegerField(default=0)
    """Lost runs count as failures; stopped, cancelled and declined ones change no streak."""

    fired_count = models.BigIntegerField(default=0)
    """Slots; so are skipped and missed."""
    skipped_count = models.BigIntegerField(default=0)
    missed_count = models.BigIntegerField(default=0)
    succeeded_count = models.BigIntegerField(default=0)
    """Runs, those without a slot included; so are failed and declined."""
    failed_count = models.BigIntegerField(default=0)
    declined_count = models.BigIntegerField(default=0)

    registered_at = models.DateTimeField()
    """For the first time."""
    updated_at = models.DateTimeField()
    """When the last event occurred that says something about this cron."""

    class Meta:
        db_table = "rqcron_job"
        verbose_name = "cron"
        ordering = ("name",)
        permissions = tuple((f"{do}_cron", f"Can {do} crons") for do in _ACTIONS)

    def __str__(self) -> str:
        return f"{self.name} ({self.status})"


class CronRun(models.Model):
    """What happened in each run?"""

    run_id = models.UUIDField(primary_key=True)
    cron = models.CharField(max_length=200)
    slot = models.DateTimeField(null=True, blank=True)
    """None when a person asked for the run and named no slot."""
    trigger = models.CharField(max_length=20)
    """slot, manual, rerun, backfill or requeue"""
    status = models.CharField(max_length=20, choices=_RUN_STATUSES)

    requested_at = models.DateTimeField()
    """When it was decided or asked for."""
    actor = models.CharField(max_length=200, blank=True)
    """Who asked: a person or a runner."""
    reason = models.TextField(blank=True)
    """Why, in the words of the person who asked."""
    lateness_seconds = models.FloatField(null=True, blank=True)
    """From the moment that the slot was due (jitter included) to its decision."""

    queue = models.TextField(blank=True)
    enqueued_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    """Of the first attempt."""
    finished_at = models.DateTimeField(null=True, blank=True)
    queue_wait_seconds = models.FloatField(null=True, blank=True)
    """From enqueued to started, zero when a worker was faster than the runner's note of it."""
    duration_seconds = models.FloatField(null=True, blank=True)
    """Of the last attempt, as the worker measured it."""
    attempts = models.IntegerField(default=0)
    refused_starts = models.IntegerField(default=0)
    worker = models.CharField(max_length=200, blank=True)
    """Of the last attempt."""
    outcome_reason = models.TextField(blank=True)
    """Why it ended as it did, or why the last attempt failed."""
    error_type = models.TextField(blank=True)
    error_shape = models.CharField(max_length=40, blank=True)
    error_event = models.BigIntegerField(null=True, blank=True)
    """Its message stands apart, and may be removed."""

    class Meta:
        db_table = "rqcron_run"
        verbose_name = "cron run"
        ordering = ("-requested_at", "run_id")
        indexes = (
            models.Index("cron", models.F("requested_at").desc(), name="rqcron_run_cron"),
            models.Index("status", models.F("requested_at").desc(), name="rqcron_run_status"),
            models.Index(models.F("requested_at").desc(), name="rqcron_run_requested"),
            models.Index(fields=["slot"], name="rqcron_run_slot"),
        )

    def __str__(self) -> str:
        return f"{self.cron} {self.run_id} ({self.status})"


class CronStatusChange(models.Model):
    """When did a cron turn failing, recover, or get paused or disabled?"""

    event_id = models.BigIntegerField(primary_key=True)
    """Of the event that caused it."""
    cron = models.CharField(max_length=200)
    at = models.DateTimeField()
    from_status = models.CharField(max_length=20, choices=CronStatus.choices)
    to_status = models.CharField(max_length=20, choices=CronStatus.choices)
    run_id = models.UUIDField(null=True, blank=True)
    """The run whose outcome changed it, if one did."""
    reason = models.TextField(blank=True)

    class Meta:
        db_table = "rqcron_status_change"
        verbose_name = "cron status change"
        ordering = ("-event_id",)
        indexes = (
            models.Index("cron", models.F("event_id").desc(), name="rqcron_status_change_cron"),
            models.Index(fields=["at"], name="rqcron_status_change_at"),
        )

    def __str__(self) -> str:
        return f"{self.cron}: {self.from_status} to {self.to_status}"


class CronDay(models.Model):
    """What did a cron do on a day?

    The day is that of the slot, in the zone of the definition in force at the slot; for a run that somebody
    asked for, that of the request. Durations are whole microseconds: sums of floats depend on the order.
    """

    key = models.CharField(max_length=220, primary_key=True)
    """``<day>/<cron>``"""
    cron = models.CharField(max_length=200)
    day = models.DateField()
    timezone = models.TextField(blank=True)
    """Of the slot that was counted last: it changes during a day only by an edit."""

    fired = models.BigIntegerField(default=0)
    """Slots; so are skipped and missed."""
    skipped = models.BigIntegerField(default=0)
    missed = models.BigIntegerField(default=0)
    skipped_by_reason = models.JSONField(default=dict)
    missed_by_reason = models.JSONField(default=dict)
    requested = models.BigIntegerField(default=0)
    """Runs that somebody asked for beside the schedule: manual, rerun, backfill, requeue."""

    succeeded = models.BigIntegerField(default=0)
    """Runs by their outcome, as far as they have one."""
    failed = models.BigIntegerField(default=0)
    stopped = models.BigIntegerField(default=0)
    cancelled = models.BigIntegerField(default=0)
    declined = models.BigIntegerField(default=0)
    lost = models.BigIntegerField(default=0)
    attempts_failed = models.BigIntegerField(default=0)
    """Failed tries that another try followed."""

    lateness_count = models.BigIntegerField(default=0)
    lateness_sum_us = models.BigIntegerField(default=0)
    lateness_min_us = models.BigIntegerField(null=True)
    lateness_max_us = models.BigIntegerField(null=True)
    lateness_buckets = models.TextField(blank=True)
    """Packed counts; see ``histogram.pack``."""
    queue_wait_count = models.BigIntegerField(default=0)
    queue_wait_sum_us = models.BigIntegerField(default=0)
    queue_wait_min_us = models.BigIntegerField(null=True)
    queue_wait_max_us = models.BigIntegerField(null=True)
    queue_wait_buckets = models.TextField(blank=True)
    duration_count = models.BigIntegerField(default=0)
    duration_sum_us = models.BigIntegerField(default=0)
    duration_min_us = models.BigIntegerField(null=True)
    duration_max_us = models.BigIntegerField(null=True)
    duration_buckets = models.TextField(blank=True)

    longest_failure_streak = models.IntegerField(default=0)
    """The most failures in a row, up to a failure of this day; it may have begun earlier."""
    turned_failing = models.IntegerField(default=0)
    """How often a failure followed a success, or was the cron's first result."""
    recoveries = models.IntegerField(default=0)
    """How often a success followed a failure."""
    recovery_sum_us = models.BigIntegerField(default=0)
    """From the first failure to the success, summed up."""
    recovery_max_us = models.BigIntegerField(default=0)
    errors = models.JSONField(default=dict)
    """``<type>\\n<message shape>`` to ``[count, id of the last such run]``."""

    class Meta:
        db_table = "rqcron_day"
        verbose_name = "cron day"
        ordering = ("-day", "cron")
        indexes = (
            models.Index(fields=["day"], name="rqcron_day_day"),
            models.Index(fields=["cron", "day"], name="rqcron_day_cron"),
        )

    def __str__(self) -> str:
        return f"{self.cron} on {self.day}"


class CronDayState(models.Model):
    """What the days need to know of a cron to count its next event. For the projection only."""

    cron = models.CharField(max_length=200, primary_key=True)
    phases = models.JSONField(default=list)
    """Schedules that may still cover slots: ``[start, timezone, expression, every, offset]``."""
    open_runs = models.JSONField(default=dict)
    """Run to ``[day, enqueued, started, ended]``, times in microseconds since 1970."""
    failures = models.IntegerField(default=0)
    failing_since = models.DateTimeField(null=True)

    class Meta:
        db_table = "rqcron_day_state"

    def __str__(self) -> str:
        return self.cron


class RunnerSession(models.Model):
    """When was a runner alive?"""

    session = models.CharField(max_length=320, primary_key=True)
    """The runner's id; ``<id>#<number>`` for an earlier session of one that came back."""
    runner = models.CharField(max_length=300)
    number = models.IntegerField()
    """From 1; more when it was taken for lost and came back."""
    host = models.TextField(blank=True)
    pid = models.BigIntegerField(null=True, blank=True)
    code = models.TextField(blank=True)
    """Fingerprint of its crons: another one is another deploy."""
    crons = models.IntegerField(null=True, blank=True)
    """How many its code has."""
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    """Of a lost one the last heartbeat; None while it is alive, as far as anybody noticed."""
    ended = models.CharField(max_length=20, blank=True, choices=SessionEnd.choices)
    noticed_at = models.DateTimeField(null=True, blank=True)
    """When another runner recorded the loss."""
    noticed_by = models.CharField(max_length=200, blank=True)

    class Meta:
        db_table = "rqcron_runner_session"
        verbose_name = "runner session"
        ordering = ("-started_at", "session")
        indexes = (models.Index(fields=["started_at"], name="rqcron_session_started"),)

    def __str__(self) -> str:
        return f"{self.session} ({self.ended or 'alive'})"


class CronPastPosition(models.Model):
    """A position in the log at which the state of all crons was kept; see ``past.kept``."""

    position = models.BigIntegerField(primary_key=True)
    after = models.BigIntegerField()
    """The one before, or 0. The next three are about the events in between."""
    earliest_at = models.DateTimeField()
    """The earliest ``occurred_at``."""
    latest_at = models.DateTimeField()
    last_event = models.BigIntegerField()
    """The id of the last one."""
    last_recorded_at = models.DateTimeField()
    """Its ``recorded_at``. A log that went back has another event there, or none."""

    class Meta:
        db_table = "rqcron_past_position"

    def __str__(self) -> str:
        return f"crons at event {self.position}"


class CronJobPast(models.Model):
    """What was a cron's state at a position in the log? With the columns of ``CronJob``."""

    key = models.CharField(max_length=220, primary_key=True)
    """``<position>/<name>``"""
    position = models.BigIntegerField()
    latest_at = models.DateTimeField()
    """The latest ``occurred_at`` among all of the cron's events up to there."""

    name: str

    class Meta:
        db_table = "rqcron_job_past"
        indexes = (models.Index(fields=["position"], name="rqcron_job_past_position"),)

    def __str__(self) -> str:
        return f"{self.name} at event {self.position}"


for _field in CronJob._meta.concrete_fields:
    _options = dict(_field.deconstruct()[3])
    _options.pop("primary_key", None)
    CronJobPast.add_to_class(_field.name, type(_field)(**_options))


class Checkpoint(models.Model):
    """How far a projection has read the log. Its row is also what writers of a projection lock."""

    name = models.CharField(max_length=50, primary_key=True)
    version = models.IntegerField()
    """Of the code that built the rows from the beginning."""
    position = models.BigIntegerField()
    """Every event up to here is in the rows, and none behind it."""
    marks = models.JSONField(default=list)
    """The newest of these events, by what they say: after a failover another history may have the same
    ids. Empty: not known, as in rows of an older release."""
    kept_from = models.DateTimeField(null=True)
    """Older rows that ended are removed (``retention``); None: all are there."""
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "rqcron_checkpoint"

    def __str__(self) -> str:
        return f"{self.name} at {self.position}"
