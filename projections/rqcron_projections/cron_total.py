"""The row of a cron's totals: what it did since its first event. For counters that only grow."""

from __future__ import annotations

from django.db import models

__all__ = ["BOUNDS_SECONDS", "MEASURES", "NOTHING_COUNTED", "CronTotal"]

MEASURES = ("lateness", "queue_wait", "duration")
BOUNDS_SECONDS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0)
"""Upper bounds of the buckets, those of Prometheus' histograms. Other bounds need another VERSION
of the projection ``days``: the counts cannot be taken apart again."""
NOTHING_COUNTED = ",".join("0" * (len(BOUNDS_SECONDS) + 1))
"""The buckets of a measure, the last one for what is longer."""


class CronTotal(models.Model):
    """How much did a cron do in all its days? Part of the projection ``days``."""

    cron = models.CharField(max_length=200, primary_key=True)
    slots = models.JSONField(default=dict)
    """``fired``, ``skipped/<reason>``, ``missed/<reason>`` to a number of slots."""
    outcomes = models.JSONField(default=dict)
    """``succeeded``, ``failed`` ... to a number of runs."""
    last_declined_us = models.BigIntegerField(null=True)
    """When a run last said that there was nothing to do, in microseconds since 1970."""
    requested = models.BigIntegerField(default=0)
    """Runs that somebody asked for beside the schedule."""
    attempts_failed = models.BigIntegerField(default=0)
    """Failed tries that another try followed."""
    lateness_sum_us = models.BigIntegerField(default=0)
    lateness_buckets = models.TextField(default=NOTHING_COUNTED)
    """How many values in each bucket of ``BOUNDS_SECONDS``, with commas; the last is for what is longer. JSON takes
    six times as many bytes on PostgreSQL, and a new version of the row is written with each run."""
    queue_wait_sum_us = models.BigIntegerField(default=0)
    queue_wait_buckets = models.TextField(default=NOTHING_COUNTED)
    duration_sum_us = models.BigIntegerField(default=0)
    duration_buckets = models.TextField(default=NOTHING_COUNTED)

    class Meta:
        db_table = "rqcron_total"
        verbose_name = "cron total"
        ordering = ("cron",)

    def __str__(self) -> str:
        return self.cron
