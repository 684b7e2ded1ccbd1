"""Crons as they were at some positions of the log."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("rqcron_projections", "0005_declined_count"),
    ]

    operations = [
        migrations.CreateModel(
            name="CronPastPosition",
            fields=[
                ("position", models.BigIntegerField(primary_key=True, serialize=False)),
                ("after", models.BigIntegerField()),
                ("earliest_at", models.DateTimeField()),
                ("latest_at", models.DateTimeField()),
                ("last_event", models.BigIntegerField()),
                ("last_recorded_at", models.DateTimeField()),
            ],
            options={
                "db_table": "rqcron_past_position",
            },
        ),
        migrations.CreateModel(
            name="CronJobPast",
            fields=[
                ("key", models.CharField(max_length=220, primary_key=True, serialize=False)),
                ("position", models.BigIntegerField()),
                ("latest_at", models.DateTimeField()),
                ("name", models.CharField(max_length=200, serialize=False)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("new", "New"),
                            ("idle", "Idle"),
                            ("succeeding", "Succeeding"),
                            ("failing", "Failing"),
                            ("paused", "Paused"),
                            ("retired", "Retired"),
                        ],
                        max_length=20,
                    ),
                ),
                ("schedule", models.TextField()),
                ("timezone", models.TextField()),
                ("queue", models.TextField()),
                ("description", models.TextField(blank=True)),
                ("function", models.TextField()),
                ("definition", models.JSONField()),
                ("definition_version", models.IntegerField()),
                ("effective_from", models.DateTimeField()),
                ("paused_at", models.DateTimeField(blank=True, null=True)),
                ("paused_until", models.DateTimeField(blank=True, null=True)),
                ("paused_by", models.CharField(blank=True, max_length=200)),
                ("pause_reason", models.TextField(blank=True)),
                ("next_slot", models.DateTimeField(blank=True, null=True)),
                ("kept", models.JSONField(blank=True, default=list)),
                ("last_slot", models.DateTimeField(blank=True, null=True)),
                ("last_decision", models.CharField(blank=True, max_length=20)),
                ("last_decision_reason", models.TextField(blank=True)),
                ("last_run_id", models.UUIDField(blank=True, null=True)),
                (
                    "last_run_status",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("requested", "Requested"),
                            ("enqueued", "Enqueued"),
                            ("running", "Running"),
                            ("retrying", "Retrying"),
                            ("succeeded", "Succeeded"),
                            ("failed", "Failed"),
                            ("stopped", "Stopped"),
                            ("cancelled", "Cancelled"),
                            ("declined", "Declined"),
                            ("lost", "Lost"),
                        ],
                        max_length=20,
                    ),
                ),
                ("last_run_started_at", models.DateTimeField(blank=True, null=True)),
                ("last_run_finished_at", models.DateTimeField(blank=True, null=True)),
                ("last_success_at", models.DateTimeField(blank=True, null=True)),
                ("last_failure_at", models.DateTimeField(blank=True, null=True)),
                ("consecutive_successes", models.IntegerField(default=0)),
                ("consecutive_failures", models.IntegerField(default=0)),
                ("fired_count", models.BigIntegerField(default=0)),
                ("skipped_count", models.BigIntegerField(default=0)),
                ("missed_count", models.BigIntegerField(default=0)),
                ("succeeded_count", models.BigIntegerField(default=0)),
                ("failed_count", models.BigIntegerField(default=0)),
                ("declined_count", models.BigIntegerField(default=0)),
                ("registered_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
            ],
            options={
                "db_table": "rqcron_job_past",
                "indexes": [models.Index(fields=["position"], name="rqcron_job_past_position")],
            },
        ),
    ]
