"""Status ``disabled``, and the reasons that ``rqcron_day_v`` did not have a column for."""

from importlib import import_module

from django.db import migrations, models

views = import_module("rqcron_projections.migrations.0003_views")

REASONS = {
    "skipped": (*views.REASONS["skipped"], "disabled"),
    "missed": (*views.REASONS["missed"], "decision_lost"),
}
STATUSES = [
    ("new", "New"),
    ("idle", "Idle"),
    ("succeeding", "Succeeding"),
    ("failing", "Failing"),
    ("paused", "Paused"),
    ("disabled", "Disabled"),
    ("retired", "Retired"),
]


def days_with(reasons):
    def create(apps, schema_editor):
        value = views.DAY_REASON.get(schema_editor.connection.vendor)
        if value is not None:
            schema_editor.execute("DROP VIEW IF EXISTS rqcron_day_v", params=None)
            schema_editor.execute(views.days(value, reasons), params=None)

    return create


class Migration(migrations.Migration):
    dependencies = [("rqcron_projections", "0006_past_crons")]

    operations = [
        *(
            migrations.AlterField(model, field, models.CharField(choices=STATUSES, max_length=20))
            for model, field in (
                ("cronjob", "status"),
                ("cronjobpast", "status"),
                ("cronstatuschange", "from_status"),
                ("cronstatuschange", "to_status"),
            )
        ),
        migrations.RunPython(days_with(REASONS), days_with(views.REASONS)),
    ]
