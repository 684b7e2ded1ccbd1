"""What a command says when the database, or the queues, are not as it needs them."""

from __future__ import annotations

import re

from django.conf import settings
from django.db import DatabaseError, OperationalError

from ..conf import conf, migrate_command
from ..core.wording import clause
from ..errors import CronConfigError

__all__ = ["database_problem", "is_unmigrated", "require_queues"]

_UNMIGRATED = re.compile(
    r"no such (?:table|column): (?:\w+\.)?(?P<sqlite>\w+)"
    r'|(?:relation|column) "?(?P<postgresql>[\w.]+)"? (?:of relation "\w+" )?does not exist'
)


def is_unmigrated(error: DatabaseError) -> bool:
    """Whether a table or a column is not there, so that migrations have to run first."""
    return _missing(error) != ""


def database_problem(error: DatabaseError) -> str:
    """The problem and the remedy, in one line."""
    alias = conf().database
    missing = _missing(error)
    if missing:
        return f"Database {alias!r} has no {missing} yet. Run: {migrate_command()}"
    text = clause(str(error).strip().partition("\n")[0]) or type(error).__name__
    if "permission denied" in text:
        return f"Database {alias!r} refuses: {text}. Grant that to the user in DATABASES."
    if isinstance(error, OperationalError):
        return f"The database does not answer: {text}. Check DATABASES[{alias!r}]."
    return f"Database {alias!r} refuses: {text}."


def require_queues() -> None:
    """Raises CronConfigError when RQ has no queue at all."""
    if not getattr(settings, "RQ_QUEUES", None):
        raise CronConfigError(
            "RQ_QUEUES is not set, so no run can be enqueued. Set RQ_QUEUES = {'default': "
            "{'URL': 'redis://127.0.0.1:6379/0'}} in the settings."
        )


def _missing(error: DatabaseError) -> str:
    found = _UNMIGRATED.search(str(error))
    if found is None:
        return ""
    what = "column" if "column" in found[0] else "table"
    return f"{what} {found['sqlite'] or found['postgresql']}"
