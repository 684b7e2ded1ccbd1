"""System checks: what is wrong, the value, the remedy. The ids are stable.

======================  =====================================================================
``rqcron_events.E001``  a cron is wrong: schedule, zone, policy, queue, option
``rqcron_events.E002``  two crons have one name
``rqcron_events.E003``  a ``crons`` module does not import
``rqcron_events.E004``  a setting is wrong
``rqcron_events.E005``  the append-only triggers or the fence are missing in the database
``rqcron_events.W001``  events cannot be read, and readers of the log go on without them
======================  =====================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core import checks
from django.db import connections
from django.db.utils import DatabaseError

__all__ = ["check_quarantine", "check_registry", "check_settings", "check_triggers", "register_all"]


def register_all() -> None:
    checks.register(check_settings)
    checks.register(check_registry)
    checks.register(check_triggers, checks.Tags.database)
    checks.register(check_quarantine, checks.Tags.database)


def check_settings(**_: Any) -> list[checks.CheckMessage]:
    from .conf import problems

    return [
        checks.Error(
            text,
            hint="All settings are in the table 'Settings' of README.md.",
            id="rqcron_events.E004",
        )
        for text in problems()
    ]


def check_registry(**_: Any) -> list[checks.CheckMessage]:
    from .core.wording import shown
    from .registry import registry

    registry.discover()
    found: list[checks.CheckMessage] = []
    for texts in registry.problems.values():
        for text in texts:
            twice = "registered twice" in text
            found.append(checks.Error(shown(text), id=f"rqcron_events.E00{2 if twice else 1}"))
    for broken in registry.broken_modules.values():
        found.append(
            checks.Error(
                f"Module {broken.module} does not import: {shown(broken.error)}.",
                hint="Its crons keep the definitions in the log; fix the import.",
                id="rqcron_events.E003",
            )
        )
    return found


def check_triggers(
    *, databases: Sequence[str] | None = None, **_: Any
) -> list[checks.CheckMessage]:
    from .conf import conf, problems
    from .ledger.backend import backend_of

    if problems() or not databases or conf().database not in databases:
        return []
    db = connections[conf().database]
    try:
        if "rqcron_event" not in db.introspection.table_names():
            return []  # not migrated yet
        missing = backend_of(db).missing_triggers(db)
    except DatabaseError:
        return []  # Django's own checks report a database that does not answer
    if not missing:
        return []
    return [
        checks.Error(
            f"Triggers {', '.join(missing)} are missing on rqcron_event in database {db.alias!r}: "
            "events could be changed, or missed by readers.",
            hint="Run: manage.py migrate",
            id="rqcron_events.E005",
        )
    ]


def check_quarantine(
    *, databases: Sequence[str] | None = None, **_: Any
) -> list[checks.CheckMessage]:
    from .conf import conf, problems
    from .ledger.quarantine import problem_texts

    if problems() or not databases or conf().database not in databases:
        return []
    try:
        if "rqcron_quarantine" not in connections[conf().database].introspection.table_names():
            return []  # not migrated yet
        texts = problem_texts()
    except DatabaseError:
        return []
    return [
        checks.Warning(
            text,
            hint="How to resolve it: docs/quarantine.md",
            id="rqcron_events.W001",
        )
        for text in texts
    ]
