"""What a checkpoint saw of the log, and slots that a rewind left out."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("rqcron_projections", "0003_views"),
    ]

    operations = [
        migrations.AddField("checkpoint", "marks", models.JSONField(default=list)),
        migrations.AddField("cronjob", "kept", models.JSONField(blank=True, default=list)),
    ]
