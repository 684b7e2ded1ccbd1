from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("rqcron_events", "0002_append_only")]

    operations = [
        migrations.AddIndex(
            model_name="cronevent",
            index=models.Index(
                fields=["type", "id"],
                name="rqcron_event_rare",
                condition=~models.Q(
                    type__in=["slot_fired", "run_enqueued", "run_started", "run_succeeded"]
                ),
            ),
        ),
    ]
