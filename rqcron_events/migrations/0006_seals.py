"""Signed checkpoints of the log, the tree over its events, and who was told."""

import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("rqcron_events", "0005_rewind")]
    operations = [
        migrations.CreateModel(
            name="CronSeal",
            fields=[
                ("size", models.BigIntegerField(primary_key=True, serialize=False)),
                ("previous", models.BigIntegerField(unique=True)),
                ("last_id", models.BigIntegerField(unique=True)),
                ("root", models.BinaryField(max_length=32)),
                ("note", models.TextField()),
                (
                    "sealed_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
            ],
            options={"db_table": "rqcron_seal", "ordering": ("size",)},
        ),
        migrations.CreateModel(
            name="CronTile",
            fields=[
                ("path", models.CharField(max_length=60, primary_key=True, serialize=False)),
                ("hashes", models.BinaryField()),
            ],
            options={"db_table": "rqcron_tile"},
        ),
        migrations.CreateModel(
            name="SealProgress",
            fields=[
                ("name", models.CharField(max_length=120, primary_key=True, serialize=False)),
                ("size", models.BigIntegerField(default=0)),
                ("at", models.DateTimeField()),
                ("failing_since", models.DateTimeField(blank=True, null=True)),
                ("told", models.TextField(blank=True, default="")),
            ],
            options={"db_table": "rqcron_seal_progress"},
        ),
    ]
