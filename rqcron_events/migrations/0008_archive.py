"""Archived segments, up to which rows of the log may go; the CHECKs know the event that says so."""

import django.db.models.functions.datetime
from django.db import migrations, models

from ..ledger.backend import backend_of


def install(apps, schema_editor):
    """Each step may be done again; new rows are checked as soon as it is through."""
    backend = backend_of(schema_editor.connection)
    backend.install_triggers(schema_editor.connection)
    backend.remove_checks(schema_editor.connection)
    backend.install_checks(schema_editor.connection)


def remove(apps, schema_editor):
    backend_of(schema_editor.connection).remove_triggers(schema_editor.connection)


def reinstall(apps, schema_editor):
    """Without the table, nothing may go."""
    backend_of(schema_editor.connection).install_triggers(schema_editor.connection)


class Migration(migrations.Migration):
    # One transaction would keep writers out until the last row is looked at.
    atomic = False
    dependencies = [("rqcron_events", "0007_words")]
    operations = [
        migrations.RunPython(migrations.RunPython.noop, reinstall),
        migrations.CreateModel(
            name="CronSegment",
            fields=[
                ("first", models.BigIntegerField(unique=True)),
                ("size", models.BigIntegerField(primary_key=True, serialize=False)),
                ("first_id", models.BigIntegerField()),
                ("last_id", models.BigIntegerField(unique=True)),
                ("occurred_from", models.DateTimeField(blank=True, null=True)),
                ("occurred_to", models.DateTimeField(blank=True, null=True)),
                ("storage", models.CharField(max_length=100)),
                ("path", models.CharField(max_length=300)),
                ("sha256", models.CharField(max_length=64)),
                ("bytes", models.BigIntegerField()),
                (
                    "archived_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
            ],
            options={
                "db_table": "rqcron_segment",
                "verbose_name": "archived segment",
                "ordering": ("size",),
            },
        ),
        migrations.RunPython(install, remove),
    ]
