"""Triggers that make the database itself refuse to change the log."""

from django.db import migrations

from ..ledger.backend import backend_of


def install(apps, schema_editor):
    backend_of(schema_editor.connection).install_triggers(schema_editor.connection)


def remove(apps, schema_editor):
    backend_of(schema_editor.connection).remove_triggers(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("rqcron_events", "0001_initial")]
    operations = [migrations.RunPython(install, remove)]
