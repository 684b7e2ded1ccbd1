"""What the table takes, in SQLite's words; see ``door``. About NEW, because triggers hold it."""

from __future__ import annotations

from ..doors.rules import DATA_BYTES_MAX, sql_list

__all__ = ["CHECKS"]

_TIMES = " AND ".join(
    f"(NEW.{name} IS NULL OR (typeof(NEW.{name}) = 'text' "
    f"AND NEW.{name} >= '1970-01-01' AND NEW.{name} < '9999-12-31' "
    f"AND julianday(NEW.{name}) IS NOT NULL))"
    for name in ("occurred_at", "recorded_at", "scheduled_for")
)
_OF_CRON = "(NEW.cron <> '' AND NEW.stream = 'cron/' || NEW.cron)"
_OF_RUN = (
    "(NEW.run_id IS NOT NULL AND substr(NEW.stream, 1, 4) = 'run/' "
    "AND replace(substr(NEW.stream, 5), '-', '') = NEW.run_id)"
)

CHECKS = {
    "rqcron_event_numbers": (
        "(typeof(NEW.version) = 'integer' AND NEW.version >= 1 "
        "AND typeof(NEW.schema_version) = 'integer' AND NEW.schema_version >= 1 "
        "AND (NEW.attempt IS NULL OR (typeof(NEW.attempt) = 'integer' AND NEW.attempt >= 1)))"
    ),
    "rqcron_event_times": f"({_TIMES})",
    "rqcron_event_data": (
        f"(length(NEW.data) <= {DATA_BYTES_MAX} AND json_valid(NEW.data) "
        "AND json_type(NEW.data) = 'object')"
    ),
    "rqcron_event_place": f"""(CASE
        WHEN NEW.type IN {sql_list("cron")} THEN {_OF_CRON}
        WHEN NEW.type IN {sql_list("run")} THEN {_OF_RUN}
        WHEN NEW.type IN {sql_list("runner")} THEN substr(NEW.stream, 1, 7) = 'runner/'
        WHEN NEW.type IN {sql_list("ledger")} THEN NEW.stream = 'ledger'
        WHEN substr(NEW.stream, 1, 5) = 'cron/' THEN {_OF_CRON}
        WHEN substr(NEW.stream, 1, 4) = 'run/' THEN {_OF_RUN}
        ELSE 1 END)""",
}
"""Name -> expression that is true for each event that may go in."""
