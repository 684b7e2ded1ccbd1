"""System checks: what is wrong, the value, the remedy. The ids are stable.

======================  =====================================================================
``rqcron_events.E001``  a cron is wrong: schedule, zone, policy, queue, option, or RQ refuses it
``rqcron_events.E002``  two crons have one name
``rqcron_events.E003``  a ``crons`` module does not import
``rqcron_events.E004``  a setting is wrong
``rqcron_events.E005``  the append-only triggers or the fence are missing in the database
======================  =====================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core import checks
from django.db import connections
from django.db.utils import DatabaseError

__all__ = ["check_registry", "check_settings", "check_triggers", "register_all"]


def register_all() -> None:
    checks.register(check_settings)
    checks.register(check_registry)
    checks.register(check_triggers, checks.Tags.database)


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
    from .registry import registry

    registry.discover()
    found: list[checks.CheckMessage] = []
    for texts in registry.problems.values():
        for text in texts:
            twice = "registered twice" in text
            found.append(checks.Error(text, id=f"rqcron_events.E00{2 if twice else 1}"))
    found += _refused_by_rq()
    for broken in registry.broken_modules.values():
        found.append(
            checks.Error(
                f"Module {broken.module} does not import: {broken.error}.",
                hint="Its crons keep the definitions in the log; fix the import.",
                id="rqcron_events.E003",
            )
        )
    return found


def _refused_by_rq() -> list[checks.CheckMessage]:
    """Each cron is tried dry: its job is built as the runner builds it, without asking Redis."""
    from uuid import UUID

    from .execution.enqueuer import Enqueuer, RunRequest
    from .execution.refusal import cause_of
    from .registry import registry

    enqueuer = Enqueuer()
    found: list[checks.CheckMessage] = []
    for cron in registry.crons.values():
        request = RunRequest(run_id=UUID(int=0), definition=cron.definition, slot=None)
        error = enqueuer.why_not(request)
        if error is not None:
            kind, text = cause_of(error)
            found.append(
                checks.Error(
                    f"Cron {cron.name!r}: RQ would take no job for it: {kind}: {text}.",
                    hint=f"Correct its options, or the settings of queue {cron.definition.queue!r}.",
                    id="rqcron_events.E001",
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
