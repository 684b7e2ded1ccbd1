"""Rewinds, and runners whose clock is wrong: the index of definitions and the CHECKs know them."""

from django.db import migrations, models

from ..ledger.backend import backend_of

TYPES = [
    "cron_registered",
    "cron_changed",
    "cron_retired",
    "cron_paused",
    "cron_resumed",
    "cron_rewound",
]


def renew(apps, schema_editor):
    """Each step may be done again; new rows are checked as soon as it is through."""
    backend = backend_of(schema_editor.connection)
    backend.remove_checks(schema_editor.connection)
    backend.install_checks(schema_editor.connection)


class Migration(migrations.Migration):
    # One transaction would keep writers out until the last row is looked at.
    atomic = False
    dependencies = [("rqcron_events", "0004_quarantine")]
    operations = [
        migrations.RunPython(renew, renew),
        migrations.RemoveIndex(model_name="cronevent", name="rqcron_event_definition"),
        migrations.AddIndex(
            model_name="cronevent",
            index=models.Index(
                fields=["cron", "id"],
                name="rqcron_event_definition",
                condition=models.Q(type__in=TYPES),
            ),
        ),
    ]
