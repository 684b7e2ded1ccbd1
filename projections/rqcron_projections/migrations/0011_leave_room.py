"""Rows that change with each run find room in their page (PostgreSQL)."""

from django.db import migrations

from rqcron_events.ledger.backend import backend_of

PERCENT = {"CronJob": 50, "CronDayState": 50, "CronTotal": 50, "CronDay": 40, "CronRun": 25}
"""Of each page. Rows of runs change two or three times, the others until their day is over, or for ever."""


def leave_room(apps, schema_editor):
    db = schema_editor.connection
    for name, percent in PERCENT.items():
        backend_of(db).tables.leave_room(db, apps.get_model("rqcron_projections", name), percent)


def fill(apps, schema_editor):
    db = schema_editor.connection
    for name in PERCENT:
        backend_of(db).tables.leave_room(db, apps.get_model("rqcron_projections", name), 0)


class Migration(migrations.Migration):
    dependencies = [("rqcron_projections", "0010_cron_totals")]
    operations = [migrations.RunPython(leave_room, fill)]
