"""Tables of the alerts: what each rule knows of each cron, and what has still to be told."""

from __future__ import annotations

from django.db import models

__all__ = ["AlertMessage", "AlertState"]


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
    """On the first of a batch: what is sent, as it was written for the first try."""
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
