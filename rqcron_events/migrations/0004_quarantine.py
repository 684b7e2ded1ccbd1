"""Which events cannot be read, and by whom."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("rqcron_events", "0003_doors")]
    operations = [
        migrations.CreateModel(
            name="QuarantinedEvent",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("reader", models.CharField(max_length=100)),
                ("event_id", models.BigIntegerField()),
                ("stream", models.CharField(max_length=300)),
                ("cron", models.CharField(blank=True, default="", max_length=200)),
                ("error", models.TextField()),
                ("noticed_at", models.DateTimeField()),
            ],
            options={
                "verbose_name": "quarantined event",
                "db_table": "rqcron_quarantine",
                "ordering": ("event_id", "reader"),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("reader", "event_id"), name="rqcron_quarantine_reader_event"
                    )
                ],
            },
        ),
    ]
