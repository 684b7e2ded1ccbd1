"""Error messages stand apart from the rows of runs, so that one can be removed and nothing else changes.

The view of runs shows them as before. PostgreSQL keeps its grants, because it is replaced and not made anew.
"""

# ruff: noqa: S608, every part of these statements is written here
from django.db import migrations, models

COLUMNS = """{run_id} AS run_id, cron, slot, "trigger", status, requested_at, actor, reason, queue,
    enqueued_at, started_at, finished_at, lateness_seconds, queue_wait_seconds, duration_seconds, attempts,
    refused_starts, worker, outcome_reason, error_type, """
APART = """COALESCE((
    SELECT text FROM rqcron_text WHERE event_id = error_event AND field = 'error.message'
), '') AS error_message"""
INLINE = "error_message"
UUID_TEXT = (
    "substr(run_id, 1, 8) || '-' || substr(run_id, 9, 4) || '-' || substr(run_id, 13, 4) || '-' || "
    "substr(run_id, 17, 4) || '-' || substr(run_id, 21)"
)


def drop(apps, schema_editor):
    """SQLite remakes the table under another name, which the view must not see."""
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute("DROP VIEW IF EXISTS rqcron_run_v", params=None)


def _create(schema_editor, message):
    vendor = schema_editor.connection.vendor
    create, run_id = {
        "postgresql": ("CREATE OR REPLACE VIEW", "run_id"),
        "sqlite": ("CREATE VIEW", UUID_TEXT),
    }[vendor]
    columns = COLUMNS.format(run_id=run_id) + message
    schema_editor.execute(f"{create} rqcron_run_v AS SELECT {columns} FROM rqcron_run", params=None)


def show_apart(apps, schema_editor):
    _create(schema_editor, APART)


def show_inline(apps, schema_editor):
    _create(schema_editor, INLINE)


def nothing(apps, schema_editor):
    pass


def show_inline_before(apps, schema_editor):
    """PostgreSQL drops no column that a view shows."""
    if schema_editor.connection.vendor == "postgresql":
        show_inline(apps, schema_editor)


class Migration(migrations.Migration):
    dependencies = [
        ("rqcron_events", "0007_words"),
        ("rqcron_projections", "0012_checkins"),
    ]
    operations = [
        migrations.RunPython(drop, show_inline),
        migrations.AddField(
            "cronrun",
            "error_shape",
            models.CharField(blank=True, default="", max_length=40),
            preserve_default=False,
        ),
        migrations.AddField(
            "cronrun", "error_event", models.BigIntegerField(blank=True, null=True)
        ),
        migrations.RunPython(show_apart, show_inline_before),
        migrations.RemoveField("cronrun", "error_message"),
        migrations.RunPython(nothing, drop),
    ]
