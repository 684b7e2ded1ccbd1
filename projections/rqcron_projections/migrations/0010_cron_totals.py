"""Totals of each cron, which the projection ``days`` keeps beside its days."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("rqcron_projections", "0009_alerts")]

    operations = [
        migrations.CreateModel(
            name="CronTotal",
            fields=[
                ("cron", models.CharField(max_length=200, primary_key=True, serialize=False)),
                ("slots", models.JSONField(default=dict)),
                ("outcomes", models.JSONField(default=dict)),
                ("last_declined_us", models.BigIntegerField(null=True)),
                ("requested", models.BigIntegerField(default=0)),
                ("attempts_failed", models.BigIntegerField(default=0)),
                ("lateness_sum_us", models.BigIntegerField(default=0)),
                ("lateness_counts", models.JSONField(default=list)),
                ("queue_wait_sum_us", models.BigIntegerField(default=0)),
                ("queue_wait_counts", models.JSONField(default=list)),
                ("duration_sum_us", models.BigIntegerField(default=0)),
                ("duration_counts", models.JSONField(default=list)),
            ],
            options={
                "verbose_name": "cron total",
                "db_table": "rqcron_total",
                "ordering": ("cron",),
            },
        ),
    ]
