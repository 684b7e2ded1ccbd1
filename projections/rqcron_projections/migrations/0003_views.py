"""SQL views for people who bring Grafana or a notebook: docs/reports.md describes their columns.

A later migration that alters one of the tables has to drop the views before and create them again
after: PostgreSQL refuses to change the type of a column that a view shows, and SQLite remakes the
table under another name.
"""

# ruff: noqa: S608, every part of these statements is written here
from django.db import migrations

MEASURES = ("lateness", "queue_wait", "duration")

UUID_TEXT = (
    "substr(run_id, 1, 8) || '-' || substr(run_id, 9, 4) || '-' || substr(run_id, 13, 4) || '-' || "
    "substr(run_id, 17, 4) || '-' || substr(run_id, 21)"
)
REASONS = {
    "skipped": ("overlap", "paused", "all_paused"),
    "missed": ("too_late", "superseded", "retired"),
}
DAY_REASON = {
    "postgresql": "CAST({column} ->> '{key}' AS BIGINT)",
    "sqlite": "json_extract({column}, '$.{key}')",
}
SECONDS = "CAST({} AS DOUBLE PRECISION) / 1000000"


def runs(run_id: str) -> str:
    return f"""
        CREATE VIEW rqcron_run_v AS SELECT
            {run_id} AS run_id, cron, slot, "trigger", status, requested_at, actor, reason, queue,
            enqueued_at, started_at, finished_at, lateness_seconds, queue_wait_seconds,
            duration_seconds, attempts, refused_starts, worker, outcome_reason, error_type,
            error_message
        FROM rqcron_run"""


def days(reason: str, reasons: dict[str, tuple[str, ...]]) -> str:
    by_reason = [
        f"COALESCE({reason.format(column=f'{what}_by_reason', key=key)}, 0) AS {what}_{key}"
        for what, keys in reasons.items()
        for key in keys
    ]
    measured = [
        text
        for measure in MEASURES
        for text in (
            f"{measure}_count",
            (
                f"{SECONDS.format(f'{measure}_sum_us')} / NULLIF({measure}_count, 0)"
                f" AS {measure}_mean_seconds"
            ),
            f"{SECONDS.format(f'{measure}_min_us')} AS {measure}_min_seconds",
            f"{SECONDS.format(f'{measure}_max_us')} AS {measure}_max_seconds",
        )
    ]
    return f"""
        CREATE VIEW rqcron_day_v AS SELECT
            cron, day, timezone, fired + skipped + missed AS expected, fired, skipped, missed,
            {", ".join(by_reason)},
            requested, succeeded, failed, stopped, cancelled, declined, lost, attempts_failed,
            CAST(succeeded AS DOUBLE PRECISION) / NULLIF(succeeded + failed + lost, 0)
                AS success_rate,
            {", ".join(measured)},
            longest_failure_streak, turned_failing, recoveries,
            {SECONDS.format("recovery_sum_us")} / NULLIF(recoveries, 0) AS recovery_mean_seconds,
            CASE WHEN recoveries > 0 THEN {SECONDS.format("recovery_max_us")} END
                AS recovery_max_seconds
        FROM rqcron_day"""


def buckets(colon: str, places: str, number: str) -> str:
    """See ``histogram.pack`` and ``histogram.bucket_range_us``."""
    packed = " UNION ALL ".join(
        f"SELECT cron, day, '{measure}' AS measure, "
        f"CAST(substr({measure}_histogram, 1, {colon.format(measure)} - 1) AS BIGINT) AS lowest, "
        f"substr({measure}_histogram, {colon.format(measure)} + 1) AS digits "
        f"FROM rqcron_day WHERE {measure}_count > 0"
        for measure in MEASURES
    )
    counted = (
        "SELECT cron, day, measure, lowest + length(digits) / 10 - 1 - place AS bucket, "
        f"{number} AS number FROM ({packed}) AS packed "
        f"JOIN ({places}) AS places ON place < length(digits) / 10"
    )
    low = (
        "CASE WHEN bucket < 64 THEN bucket ELSE (32 + (bucket & 31)) << "
        "CAST((bucket >> 5) - 1 AS INTEGER) END"
    )
    width = (
        "CASE WHEN bucket < 64 THEN 1 ELSE CAST(1 AS BIGINT) << "
        "CAST((bucket >> 5) - 1 AS INTEGER) END"
    )
    return f"""
        CREATE VIEW rqcron_day_bucket_v AS SELECT
            cron, day, measure, {SECONDS.format(low)} AS seconds_from,
            {SECONDS.format(f"({low}) + ({width})")} AS seconds_to, number
        FROM ({counted}) AS counted WHERE number > 0"""


def sessions(seconds: str) -> str:
    return f"""
        CREATE VIEW rqcron_runner_session_v AS SELECT
            session, runner, number, host, pid, code, crons, started_at, ended_at,
            CASE WHEN ended_at IS NULL THEN 'alive' ELSE ended END AS ended,
            {seconds} AS alive_seconds, noticed_at, noticed_by
        FROM rqcron_runner_session"""


BUCKETS_MAX = 2_000
"""The bucket of a duration of ten thousand million years."""

VIEWS = {
    "postgresql": (
        runs("run_id"),
        days(DAY_REASON["postgresql"], REASONS),
        buckets(
            "strpos({}_histogram, ':')",
            f"SELECT generate_series(0, {BUCKETS_MAX}) AS place",
            "CAST(CAST('x' || substr(digits, place * 10 + 1, 10) AS BIT(40)) AS BIGINT)",
        ),
        sessions("CAST(EXTRACT(EPOCH FROM ended_at - started_at) AS DOUBLE PRECISION)"),
    ),
    "sqlite": (
        runs(UUID_TEXT),
        days(DAY_REASON["sqlite"], REASONS),
        buckets(
            "instr({}_histogram, ':')",
            "WITH RECURSIVE counter(place) AS (SELECT 0 UNION ALL SELECT place + 1 FROM counter "
            f"WHERE place < {BUCKETS_MAX}) SELECT place FROM counter",
            " + ".join(
                f"(instr('123456789abcdef', substr(digits, place * 10 + {digit}, 1)) "
                f"<< {40 - 4 * digit})"
                for digit in range(1, 11)
            ),
        ),
        sessions("(julianday(ended_at) - julianday(started_at)) * 86400"),
    ),
}
NAMES = ("rqcron_run_v", "rqcron_day_v", "rqcron_day_bucket_v", "rqcron_runner_session_v")


def create(apps, schema_editor):
    for statement in VIEWS.get(schema_editor.connection.vendor, ()):
        schema_editor.execute(statement, params=None)


def drop(apps, schema_editor):
    for name in NAMES:
        schema_editor.execute(f"DROP VIEW IF EXISTS {name}", params=None)


class Migration(migrations.Migration):
    dependencies = [("rqcron_projections", "0002_days_and_sessions")]

    operations = [migrations.RunPython(create, drop)]
