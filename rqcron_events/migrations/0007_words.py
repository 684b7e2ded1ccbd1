"""Texts that may name a person stand apart from their events; the doors know the events of their removal."""

import django.db.models.functions.datetime
from django.db import migrations, models

from ..ledger.backend import backend_of


def renew(apps, schema_editor):
    """Each step may be done again; new rows are checked as soon as it is through."""
    backend = backend_of(schema_editor.connection)
    backend.remove_checks(schema_editor.connection)
    backend.install_checks(schema_editor.connection)


class Migration(migrations.Migration):
    # One transaction would keep writers out until the last row is looked at.
    atomic = False
    dependencies = [("rqcron_events", "0006_seals")]
    operations = [
        migrations.CreateModel(
            name="CronText",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("event_id", models.BigIntegerField()),
                ("field", models.CharField(max_length=40)),
                ("salt", models.CharField(max_length=64)),
                ("text", models.TextField()),
                (
                    "stored_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
            ],
            options={
                "db_table": "rqcron_text",
                "constraints": [
                    models.UniqueConstraint(
                        fields=["event_id", "field"], name="rqcron_text_event_field"
                    )
                ],
            },
        ),
        migrations.RunPython(renew, renew),
    ]
