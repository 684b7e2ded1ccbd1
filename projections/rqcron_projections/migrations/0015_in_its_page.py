"""What changes with each run changes in its page: the day that is counted finds room for its next version (PostgreSQL),
and nothing of a cron's row that changes then is in an index. There are too few crons for one to be of use."""

from django.db import migrations

from rqcron_events.ledger.backend import backend_of

PERCENT = 15
"""Of each page, a row's worth: reports read very many days, which are final."""


def leave_room(apps, schema_editor, percent=PERCENT):
    db = schema_editor.connection
    backend_of(db).tables.leave_room(db, apps.get_model("rqcron_projections", "CronDay"), percent)


def fill(apps, schema_editor):
    leave_room(apps, schema_editor, 0)


class Migration(migrations.Migration):
    dependencies = [("rqcron_projections", "0014_kept_from")]
    operations = [
        migrations.RunPython(leave_room, fill),
        migrations.RemoveIndex("cronjob", "rqcron_job_status"),
        migrations.RemoveIndex("cronjob", "rqcron_job_next_slot"),
    ]
