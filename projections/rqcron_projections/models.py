"""The tables that people read. All can be thrown away and rebuilt from the ledger.

Free text has no length limit: a value that the log accepted must never stop a projection.
"""

from __future__ import annotations

from django.db import models

__all__ = ["Checkpoint", "CronJob", "CronRun", "CronStatus", "CronStatusChange", "RunStatus"]


class CronStatus(models.TextChoices):
    """What a cron is doing; see ``cron_status``."""

    NEW = "new"
    """No run has succeeded or failed yet."""
    SUCCEEDING = "succeeding"
    FAILING = "failing"
    PAUSED = "paused"
    RETIRED = "retired"


class RunStatus(models.TextChoices):
    """How far a run is, or how it ended."""

    REQUESTED = "requested"
    ENQUEUED = "enqueued"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"
    CANCELLED = "cancelled"
    DECLINED = "declined"
    LOST = "lost"


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
    """The first slot that may fire after the last one decided; None when there is none."""
    last_slot = models.DateTimeField(null=True, blank=True)
    """The last slot that was decided."""
    last_decision = models.CharField(max_length=20, blank=True)
    """fired, skipped or missed"""
    last_decision_reason = models.TextField(blank=True)

    last_run_id = models.UUIDField(null=True, blank=True)
    """The run that was asked for last."""
    last_run_status = models.CharField(max_length=20, blank=True, choices=RunStatus.choices)
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
    """Runs, those without a slot included; so are failed."""
    failed_count = models.BigIntegerField(default=0)

    registered_at = models.DateTimeField()
    """For the first time."""
    updated_at = models.DateTimeField()
    """When the last event occurred that says something about this cron."""

    class Meta:
        db_table = "rqcron_job"
        verbose_name = "cron"
        ordering = ("name",)
        indexes = (
            models.Index(fields=["status"], name="rqcron_job_status"),
            models.Index(fields=["next_slot"], name="rqcron_job_next_slot"),
        )

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
    status = models.CharField(max_length=20, choices=RunStatus.choices)

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
    error_message = models.TextField(blank=True)

    class Meta:
        db_table = "rqcron_run"
        verbose_name = "cron run"
        ordering = ("-requested_at", "run_id")
        indexes = (
            models.Index("cron", models.F("requested_at").desc(), name="rqcron_run_cron"),
            models.Index("status", models.F("requested_at").desc(), name="rqcron_run_status"),
            models.Index(models.F("requested_at").desc(), name="rqcron_run_requested"),
        )

    def __str__(self) -> str:
        return f"{self.cron} {self.run_id} ({self.status})"


class CronStatusChange(models.Model):
    """When did a cron turn failing, recover, or get paused?"""

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


class Checkpoint(models.Model):
    """How far a projection has read the log. Its row is also what writers of a projection lock."""

    name = models.CharField(max_length=50, primary_key=True)
    version = models.IntegerField()
    """Of the code that built the rows from the beginning."""
    position = models.BigIntegerField()
    """Every event up to here is in the rows, and none behind it."""
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "rqcron_checkpoint"

    def __str__(self) -> str:
        return f"{self.name} at {self.position}"
