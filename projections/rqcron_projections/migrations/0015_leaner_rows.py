"""Counts take as many bytes as they need, and runs that succeeded are in one index less."""

# ruff: noqa: S608, every part of these statements is written here
from django.db import migrations, models

MEASURES = ("lateness", "queue_wait", "duration")
NOTHING = ",".join("0" * 14)
BUCKETS_MAX = 2_000
"""The bucket of a duration of ten thousand million years."""

PLACES = {
    "postgresql": f"SELECT generate_series(0, {BUCKETS_MAX}) AS place",
    "sqlite": "WITH RECURSIVE counter(place) AS (SELECT 0 UNION ALL SELECT place + 1 FROM counter "
    f"WHERE place < {BUCKETS_MAX}) SELECT place FROM counter",
}
COLON = {"postgresql": "strpos({}, ':')", "sqlite": "instr({}, ':')"}
PADDED = {
    "postgresql": "lpad(substr(digits, place * width + 1, width), 10, '0')",
    "sqlite": "substr('0000000000' || substr(digits, place * width + 1, width), -10)",
}
NUMBER = {
    "postgresql": "CAST(CAST('x' || padded AS BIT(40)) AS BIGINT)",
    "sqlite": " + ".join(
        f"(instr('123456789abcdef', substr(padded, {digit}, 1)) << {40 - 4 * digit})"
        for digit in range(1, 11)
    ),
}
WIDTH_OF_EACH, WIDTH_OF_ALL = (
    "2 * CAST(substr(rest, 1, {colon} - 1) AS INTEGER) AS width, substr(rest, {colon} + 1)",
    "10 AS width, rest",
)
"""How many digits a count has, and the counts, as they are written now and as they were before."""
LOW = (
    "CASE WHEN bucket < 64 THEN bucket ELSE (32 + (bucket & 31)) << "
    "CAST((bucket >> 5) - 1 AS INTEGER) END"
)
SPAN = (
    "CASE WHEN bucket < 64 THEN 1 ELSE CAST(1 AS BIGINT) << CAST((bucket >> 5) - 1 AS INTEGER) END"
)
SECONDS = "CAST({} AS DOUBLE PRECISION) / 1000000"


def _show_buckets(schema_editor, width_of):
    """See ``histogram.pack`` and ``histogram.bucket_range_us``. PostgreSQL's view keeps its grants."""
    vendor = schema_editor.connection.vendor
    if vendor == "sqlite":
        schema_editor.execute("DROP VIEW IF EXISTS rqcron_day_bucket_v", params=None)
    create = {"postgresql": "CREATE OR REPLACE VIEW", "sqlite": "CREATE VIEW"}[vendor]
    parted = " UNION ALL ".join(
        f"SELECT cron, day, '{measure}' AS measure, "
        f"CAST(substr({column}, 1, {COLON[vendor].format(column)} - 1) AS BIGINT) AS lowest, "
        f"substr({column}, {COLON[vendor].format(column)} + 1) AS rest "
        f"FROM rqcron_day WHERE {measure}_count > 0"
        for measure, column in ((measure, f"{measure}_histogram") for measure in MEASURES)
    )
    width = width_of.format(colon=COLON[vendor].format("rest"))
    packed = f"SELECT cron, day, measure, lowest, {width} AS digits FROM ({parted}) AS parted"
    padded = (
        "SELECT cron, day, measure, lowest + length(digits) / width - 1 - place AS bucket, "
        f"{PADDED[vendor]} AS padded FROM ({packed}) AS packed "
        f"JOIN ({PLACES[vendor]}) AS places ON place < length(digits) / width"
    )
    counted = (
        f"SELECT cron, day, measure, bucket, {NUMBER[vendor]} AS number FROM ({padded}) AS padded"
    )
    schema_editor.execute(
        f"""
        {create} rqcron_day_bucket_v AS SELECT
            cron, day, measure, {SECONDS.format(LOW)} AS seconds_from,
            {SECONDS.format(f"({LOW}) + ({SPAN})")} AS seconds_to, number
        FROM ({counted}) AS counted WHERE number > 0""",
        params=None,
    )


def write_leaner(apps, schema_editor):
    """Rows stay right as they are; ``cron_replay`` makes the histograms of old days leaner, too."""
    counts = ", ".join(
        f"{measure}_counts = replace(trim({measure}_counts, '[]'), ' ', '')" for measure in MEASURES
    )
    schema_editor.execute(f"UPDATE rqcron_total SET {counts}", params=None)
    histograms = ", ".join(
        f"{measure}_histogram = replace({measure}_histogram, ':', ':5:')" for measure in MEASURES
    )
    schema_editor.execute(f"UPDATE rqcron_day SET {histograms}", params=None)
    _show_buckets(schema_editor, WIDTH_OF_EACH)


def write_wide(apps, schema_editor):
    """The release before reads no other."""
    counts = ", ".join(f"{measure}_counts = '[' || {measure}_counts || ']'" for measure in MEASURES)
    schema_editor.execute(f"UPDATE rqcron_total SET {counts}", params=None)
    days = apps.get_model("rqcron_projections", "CronDay").objects
    for row in days.using(schema_editor.connection.alias).iterator():
        for measure in MEASURES:
            setattr(row, f"{measure}_histogram", _wide(getattr(row, f"{measure}_histogram")))
        row.save()
    _show_buckets(schema_editor, WIDTH_OF_ALL)


def _wide(text):
    if not text:
        return ""
    lowest, width, digits = text.split(":")
    size = 2 * int(width)
    counts = [digits[place : place + size] for place in range(0, len(digits), size)]
    return f"{lowest}:{''.join(count.zfill(10) for count in counts)}"


class Migration(migrations.Migration):
    dependencies = [("rqcron_projections", "0014_kept_from")]
    operations = [
        *(
            migrations.AlterField(
                "crontotal", f"{measure}_counts", models.TextField(default=NOTHING)
            )
            for measure in MEASURES
        ),
        migrations.RunPython(write_leaner, write_wide),
        migrations.RemoveIndex("cronrun", "rqcron_run_status"),
        migrations.AddIndex(
            "cronrun",
            models.Index(
                "status",
                models.F("requested_at").desc(),
                name="rqcron_run_status",
                condition=~models.Q(status="succeeded"),
            ),
        ),
    ]
