"""The table refuses what no release writes: see ``ledger/door``. Each step may be done again."""

from django.db import migrations

from ..ledger.backend import backend_of


def install(apps, schema_editor):
    backend_of(schema_editor.connection).install_checks(schema_editor.connection)


def remove(apps, schema_editor):
    backend_of(schema_editor.connection).remove_checks(schema_editor.connection)


class Migration(migrations.Migration):
    # One transaction would keep writers out until the last row is looked at.
    atomic = False
    dependencies = [("rqcron_events", "0002_append_only")]
    operations = [migrations.RunPython(install, remove)]
