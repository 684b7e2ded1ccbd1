"""A permission for each thing that people do from the pages."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("rqcron_projections", "0007_disabled")]

    operations = [
        migrations.AlterModelOptions(
            name="cronjob",
            options={
                "ordering": ("name",),
                "permissions": (
                    ("pause_cron", "Can pause crons"),
                    ("resume_cron", "Can resume crons"),
                    ("trigger_cron", "Can trigger crons"),
                    ("rerun_cron", "Can rerun crons"),
                    ("backfill_cron", "Can backfill crons"),
                ),
                "verbose_name": "cron",
            },
        ),
    ]
