"""What changes with each run changes in its page: it finds room there (PostgreSQL), and nothing of a cron's row that
changes then is in an index. There are too few crons for one to be of use."""

from django.db import migrations

from rqcron_events.ledger.backend import backend_of

PERCENT = {"CronJob": 50, "CronDay": 15, "CronDayState": 50, "CronTotal": 50}
"""Of each page. Days get a row's worth, because reports read very many of them, which are final. Rows of runs get none:
each of their changes is in an index, whether there is room or not."""


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
    operations = [
        migrations.RunPython(leave_room, fill),
        migrations.RemoveIndex("cronjob", "rqcron_job_status"),
        migrations.RemoveIndex("cronjob", "rqcron_job_next_slot"),
    ]
