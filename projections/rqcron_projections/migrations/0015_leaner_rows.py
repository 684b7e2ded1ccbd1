"""Counts take as many bytes as they need.

Their columns have new names, so that a follower of the release before, or after, says that a column is missing, and
waits: it must not take what it cannot read for damage.
"""

# ruff: noqa: S608, every part of these statements is written here
from django.db import migrations, models

MEASURES = ("lateness", "queue_wait", "duration")
NOTHING = ",".join("0" * 14)
BUCKETS_MAX = 2_000
"""The bucket of a duration of ten thousand million years."""

ROWS_PER_PAGE = 1_000

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
        for measure, column in ((measure, f"{measure}_buckets") for measure in MEASURES)
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
    _write_counts(schema_editor, "replace(trim({}, '[]'), ' ', '')")
    _write_days(apps, schema_editor, _lean)
    _show_buckets(schema_editor, WIDTH_OF_EACH)


def write_wide(apps, schema_editor):
    """The release before reads no other."""
    _write_counts(schema_editor, "'[' || {} || ']'")
    _write_days(apps, schema_editor, _wide)
    _show_buckets(schema_editor, WIDTH_OF_ALL)


def _write_counts(schema_editor, expression):
    columns = [f"{measure}_buckets" for measure in MEASURES]
    counts = ", ".join(f"{column} = {expression.format(column)}" for column in columns)
    schema_editor.execute(f"UPDATE rqcron_total SET {counts}", params=None)


def _write_days(apps, schema_editor, written):
    alias = schema_editor.connection.alias
    days = apps.get_model("rqcron_projections", "CronDay").objects.using(alias).order_by("key")
    names, key = [f"{measure}_buckets" for measure in MEASURES], ""
    while rows := list(days.filter(key__gt=key).only("key", *names)[:ROWS_PER_PAGE]):
        for row in rows:
            for name in names:
                setattr(row, name, written(getattr(row, name)))
        days.bulk_update(rows, names, batch_size=100)
        key = rows[-1].key


def _lean(text):
    lowest, colon, digits = text.partition(":")
    counts = [digits[place : place + 10] for place in range(0, len(digits), 10)]
    used = max((len(count.lstrip("0")) for count in counts), default=0)
    width = max((used + 1) // 2, 1)
    return f"{lowest}:{width}:{''.join(count[-2 * width :] for count in counts)}" if colon else ""


def _wide(text):
    lowest, colon, rest = text.partition(":")
    width, _, digits = rest.partition(":")
    if not (colon and digits):
        return ""
    size = 2 * int(width)
    counts = [digits[place : place + size] for place in range(0, len(digits), size)]
    return f"{lowest}:{''.join(count.zfill(10) for count in counts)}"


class Migration(migrations.Migration):
    dependencies = [("rqcron_projections", "0014_kept_from")]
    operations = [
        operation
        for measure in MEASURES
        for operation in (
            migrations.RenameField("cronday", f"{measure}_histogram", f"{measure}_buckets"),
            migrations.RenameField("crontotal", f"{measure}_counts", f"{measure}_buckets"),
            migrations.AlterField(
                "crontotal", f"{measure}_buckets", models.TextField(default=NOTHING)
            ),
        )
    ] + [migrations.RunPython(write_leaner, write_wide)]
