"""Check-ins: what waits for monitors, and how each of them is reached."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("rqcron_projections", "0011_leave_room")]

    operations = [
        migrations.CreateModel(
            name="CheckInMonitor",
            fields=[
                ("name", models.CharField(max_length=100, primary_key=True, serialize=False)),
                ("claim", models.UUIDField(blank=True, null=True)),
                ("claimed_until", models.DateTimeField(blank=True, null=True)),
                ("attempts", models.IntegerField(default=0)),
                ("next_try_at", models.DateTimeField(blank=True, null=True)),
                ("silent_since", models.DateTimeField(blank=True, null=True)),
                ("answer", models.TextField(blank=True)),
                ("sent", models.BigIntegerField(default=0)),
                ("left_out", models.BigIntegerField(default=0)),
                ("last_sent_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={"db_table": "rqcron_checkin_monitor"},
        ),
        migrations.CreateModel(
            name="CheckIn",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("monitor", models.CharField(max_length=100)),
                ("cron", models.CharField(max_length=200)),
                (
                    "kind",
                    models.CharField(
                        choices=[("begin", "Begin"), ("end", "End"), ("note", "Note")],
                        max_length=10,
                    ),
                ),
                ("fate", models.CharField(max_length=20)),
                ("run_id", models.UUIDField(blank=True, null=True)),
                ("at", models.DateTimeField()),
                ("detail", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField()),
                (
                    "status",
                    models.CharField(
                        choices=[("waiting", "Waiting"), ("sent", "Sent"), ("failed", "Failed")],
                        default="waiting",
                        max_length=20,
                    ),
                ),
                ("is_open", models.BooleanField(default=False)),
                ("attempts", models.IntegerField(default=0)),
                ("next_try_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("answer", models.TextField(blank=True)),
            ],
            options={
                "db_table": "rqcron_checkin",
                "indexes": [
                    models.Index(fields=["status", "monitor", "id"], name="rqcron_checkin_next"),
                    models.Index(fields=["monitor", "status", "cron"], name="rqcron_checkin_cron"),
                    models.Index(fields=["run_id"], name="rqcron_checkin_run"),
                ],
            },
        ),
    ]
