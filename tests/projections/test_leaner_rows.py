"""Rows of the release before stay right when they are made leaner, and can go back."""

from __future__ import annotations

from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection
from rqcron_projections.cron_total import MEASURES, CronTotal
from rqcron_projections.histogram import counts_of, packed_number
from rqcron_projections.models import CronDay
from rqcron_projections.projector import catch_up

from tests.projections.histories import append, history

MIGRATION = import_module("rqcron_projections.migrations.0015_leaner_rows")


HISTOGRAMS = [f"{measure}_histogram" for measure in MEASURES]


def counted():
    """What totals and days say, whatever takes how many bytes."""
    totals = [tuple(row.values()) for row in CronTotal.objects.order_by("cron").values()]
    days = [
        (row.key, [counts_of(packed_number(getattr(row, name))) for name in HISTOGRAMS])
        for row in CronDay.objects.order_by("key")
    ]
    return totals, days, buckets()


def buckets():
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM rqcron_day_bucket_v ORDER BY 1, 2, 3, 4")
        return cursor.fetchall()


@pytest.mark.django_db
def test_rows_are_the_same_there_and_back():
    append(history(1, 300))
    catch_up()
    before = counted()
    editor = connection.schema_editor()
    MIGRATION.write_wide(apps, editor)
    assert buckets() == before[2]
    assert CronTotal.objects.exclude(duration_counts__startswith="[").count() == 0
    for row in CronDay.objects.all():
        for text in filter(None, (getattr(row, name) for name in HISTOGRAMS)):
            lowest, digits = text.split(":")
            assert lowest.isdecimal()
            assert len(digits) % 10 == 0
    MIGRATION.write_leaner(apps, editor)
    assert counted() == before
    assert all(before)
