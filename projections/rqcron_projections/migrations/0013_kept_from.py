"""Since when all rows of runs are there: RQCRON_RUN_DAYS."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("rqcron_projections", "0012_checkins")]
    operations = [migrations.AddField("checkpoint", "kept_from", models.DateTimeField(null=True))]
