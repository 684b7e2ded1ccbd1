"""The index of definitions has rewinds, too: what a cron's slots count from."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("rqcron_events", "0004_quarantine")]
    operations = [
        migrations.RemoveIndex(model_name="cronevent", name="rqcron_event_definition"),
        migrations.AddIndex(
            model_name="cronevent",
            index=models.Index(
                fields=["cron", "id"],
                name="rqcron_event_definition",
                condition=models.Q(
                    type__in=[
                        "cron_registered",
                        "cron_changed",
                        "cron_retired",
                        "cron_paused",
                        "cron_resumed",
                        "cron_rewound",
                    ]
                ),
            ),
        ),
    ]
