"""Tables of what is told: what each rule of the alerts knows of each cron, and what waits for receivers."""

from __future__ import annotations

from django.db import models

__all__ = [
    "AlertMessage",
    "AlertState",
    "CheckIn",
    "CheckInKind",
    "CheckInMonitor",
    "MessageStatus",
]


class AlertState(models.Model):
    """Does a rule apply to a cron now, and what was told of it?"""

    key = models.CharField(max_length=320, primary_key=True)
    """``<rule>/<cron>``"""
    rule = models.CharField(max_length=100)
    """Its name in RQCRON_ALERTS."""
    cron = models.CharField(max_length=200, blank=True)
    """Empty: the rule is about all of them."""
    position = models.BigIntegerField(default=0)
    """The id of the last event that is in it."""
    count = models.IntegerField(default=0)
    """Failures in a row, or slots missed since the last one that fired."""
    is_open = models.BooleanField(default=False)
    since = models.DateTimeField(null=True, blank=True)
    """When it opened, or closed last."""
    detail = models.JSONField(default=dict)
    """What it opened or closed with: slot, run_id, event, sentence."""
    is_told = models.BooleanField(default=False)
    """The last that was told is that it opened."""
    told_at = models.DateTimeField(null=True, blank=True)
    """When that was told last."""
    untold = models.IntegerField(default=0)
    """How often it opened and closed since, in the quiet time."""

    class Meta:
        db_table = "rqcron_alert_state"
        indexes = (
            models.Index(fields=["cron"], name="rqcron_alert_state_cron"),
            models.Index(fields=["is_open", "rule"], name="rqcron_alert_state_open"),
        )

    def __str__(self) -> str:
        return f"{self.key} ({'open' if self.is_open else 'closed'})"


class MessageStatus(models.TextChoices):
    """What became of it."""

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"
    """The receiver refused it, or did not take it for days."""


class AlertMessage(models.Model):
    """One change of one alert for one receiver: the outbox."""

    id = models.BigAutoField(primary_key=True)
    receiver = models.CharField(max_length=100)
    """Its name in RQCRON_ALERTS."""
    rule = models.CharField(max_length=100)
    kind = models.CharField(max_length=20)
    """failing, missed ...: what the rule is about."""
    cron = models.CharField(max_length=200, blank=True)
    change = models.CharField(max_length=20)
    """opened or recovered"""
    at = models.DateTimeField()
    """When it opened or recovered."""
    detail = models.JSONField(default=dict)
    """Slot, run_id, event, sentence, and how often it came and went untold."""
    created_at = models.DateTimeField()

    status = models.CharField(
        max_length=20, choices=MessageStatus.choices, default=MessageStatus.WAITING
    )
    batch = models.UUIDField(null=True, blank=True)
    """Those that are sent together, as one message with this id; it stays over retries."""
    body = models.JSONField(null=True, blank=True)
    """On the first of a batch, until it is sent: what is, as it was written for the first try."""
    attempts = models.IntegerField(default=0)
    next_try_at = models.DateTimeField()
    claimed_until = models.DateTimeField(null=True, blank=True)
    """A process is sending it."""
    ended_at = models.DateTimeField(null=True, blank=True)
    answer = models.TextField(blank=True)
    """What the receiver said, or why it was not reached."""

    class Meta:
        db_table = "rqcron_alert_message"
        indexes = (
            models.Index(fields=["status", "receiver", "id"], name="rqcron_alert_message_next"),
            models.Index(fields=["batch"], name="rqcron_alert_message_batch"),
        )

    def __str__(self) -> str:
        return f"{self.rule} {self.change} for {self.receiver} ({self.status})"


class CheckInKind(models.TextChoices):
    """What a monitor is told."""

    BEGIN = "begin"
    """A run has started."""
    END = "end"
    """A run has its outcome."""
    NOTE = "note"
    """A slot does not run: nothing that a monitor would count."""


class CheckIn(models.Model):
    """One thing that a monitor is told of one cron: the outbox."""

    id = models.BigAutoField(primary_key=True)
    monitor = models.CharField(max_length=100)
    """Its name in RQCRON_CHECKINS."""
    cron = models.CharField(max_length=200)
    kind = models.CharField(max_length=10, choices=CheckInKind.choices)
    fate = models.CharField(max_length=20)
    """running, or the status of the run that ended; skipped or missed."""
    run_id = models.UUIDField(null=True, blank=True)
    at = models.DateTimeField()
    """When that happened, by the clock of who wrote the event."""
    detail = models.JSONField(default=dict)
    """Slot, reason, attempt, error_type, duration_seconds, count; what the event has of them."""
    created_at = models.DateTimeField()

    status = models.CharField(
        max_length=20, choices=MessageStatus.choices, default=MessageStatus.WAITING
    )
    """What was sent is kept for two minutes, because it counts for the limit of its check."""
    is_open = models.BooleanField(default=False)
    """A begin that was sent, or may have been, and whose end was not: kept until then."""
    attempts = models.IntegerField(default=0)
    next_try_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    answer = models.TextField(blank=True)
    """What the monitor said, or why it was not reached."""

    class Meta:
        db_table = "rqcron_checkin"
        indexes = (
            models.Index(fields=["status", "monitor", "id"], name="rqcron_checkin_next"),
            models.Index(fields=["monitor", "status", "cron"], name="rqcron_checkin_cron"),
            models.Index(fields=["run_id"], name="rqcron_checkin_run"),
        )

    def __str__(self) -> str:
        return f"{self.cron} {self.fate} for {self.monitor} ({self.status})"


class CheckInMonitor(models.Model):
    """Who sends to a monitor now, whether it answers, and how much it was told."""

    name = models.CharField(max_length=100, primary_key=True)
    """In RQCRON_CHECKINS."""
    claim = models.UUIDField(null=True, blank=True)
    """Of the process that sends."""
    claimed_until = models.DateTimeField(null=True, blank=True)
    attempts = models.IntegerField(default=0)
    """How often in a row nobody answered."""
    next_try_at = models.DateTimeField(null=True, blank=True)
    silent_since = models.DateTimeField(null=True, blank=True)
    answer = models.TextField(blank=True)
    """Why nobody answered, while that lasts."""
    sent = models.BigIntegerField(default=0)
    left_out = models.BigIntegerField(default=0)
    """Not told on purpose: too old, or above the limit."""
    last_sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "rqcron_checkin_monitor"

    def __str__(self) -> str:
        return f"monitor {self.name}"
