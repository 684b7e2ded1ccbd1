"""Since when all rows of runs are there: RQCRON_RUN_DAYS."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("rqcron_projections", "0013_words_apart")]
    operations = [migrations.AddField("checkpoint", "kept_from", models.DateTimeField(null=True))]
