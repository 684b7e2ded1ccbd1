"""What changes with each run of a cron finds room in its page (PostgreSQL)."""

from django.db import migrations

from rqcron_events.ledger.backend import backend_of

PERCENT = {"CronJob": 50, "CronDayState": 50, "CronTotal": 50}
"""Of each page. Rows of runs get none: each of their changes is in an index, whether there is room or not."""


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
