"""System checks: what is wrong, the value, the remedy. The ids are stable.

From E005 on, and all warnings: ``manage.py check --database``. I001 is no fault.

======================  =====================================================================
``rqcron_events.E001``  a cron is wrong: schedule, zone, policy, queue, option, or RQ refuses it
``rqcron_events.E002``  two crons have one name
``rqcron_events.E003``  a ``crons`` module does not import
``rqcron_events.E004``  a setting is wrong
``rqcron_events.E005``  the append-only triggers or the fence are missing, or not ours
``rqcron_events.E006``  a trigger or a rule can take events away
``rqcron_events.E007``  ids: the sequence, a standby, ids that readers never see
``rqcron_events.E008``  a constraint is missing, or not ours: versions, ids, what a reader can read
``rqcron_events.E009``  the table is no plain one, or hides rows from readers
``rqcron_events.I001``  a queue's serializer has to be given to plain rqworker
``rqcron_events.W001``  events in the log do not pass a CHECK that holds for new ones
``rqcron_events.W002``  a trigger that is not ours can refuse events
``rqcron_events.W003``  ids can be given by a statement, or come to an end
``rqcron_events.W004``  the log's table exists in several schemas
``rqcron_events.W005``  a timeout of the role is short for the commands that read the whole log
``rqcron_events.W006``  a pooler stands before the database
``rqcron_events.W007``  events cannot be read, and readers of the log go on without them
``rqcron_events.W008``  the CHECKs cannot be compared with ours
======================  =====================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core import checks
from django.db import connections
from django.db.utils import DatabaseError

__all__ = [
    "check_quarantine",
    "check_registry",
    "check_serializers",
    "check_settings",
    "check_tables",
    "register_all",
]


def register_all() -> None:
    checks.register(check_settings)
    checks.register(check_registry)
    checks.register(check_serializers)
    checks.register(check_tables, checks.Tags.database)
    checks.register(check_quarantine, checks.Tags.database)


def check_settings(**_: Any) -> list[checks.CheckMessage]:
    from .conf import problems

    return [
        checks.Error(
            text,
            hint="All settings are in docs/reference/settings.md.",
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
    found += _refused_by_rq()
    for broken in registry.broken_modules.values():
        found.append(
            checks.Error(
                f"Module {broken.module} does not import: {shown(broken.error)}.",
                hint=f"{broken.told} What is in the log stays in effect; fix the import.",
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


def check_serializers(**_: Any) -> list[checks.CheckMessage]:
    """RQ's worker asks no queue for it, and fails every job that it cannot read."""
    from .conf import rq_queues
    from .registry import registry

    registry.discover()
    used = {cron.definition.queue for cron in registry.crons.values()} & rq_queues().keys()
    given = {name: rq_queues()[name].get("SERIALIZER") for name in sorted(used)}
    return [
        checks.Info(
            f"Queue {name!r} has SERIALIZER {serializer} in RQ_QUEUES, and rqworker does not look there.",
            hint=f"Run cron_worker, or rqworker --serializer {serializer}.",
            id="rqcron_events.I001",
        )
        for name, serializer in given.items()
        if serializer
    ]


def check_tables(*, databases: Sequence[str] | None = None, **_: Any) -> list[checks.CheckMessage]:
    from .conf import conf, migrate_command, problems
    from .ledger.backend import backend_of

    if problems() or not databases or conf().database not in databases:
        return []
    db = connections[conf().database]
    try:
        if "rqcron_event" not in db.introspection.table_names():
            return []  # not migrated yet
        found = backend_of(db).problems(db)
    except DatabaseError:
        return []  # Django's own checks report a database that does not answer
    return [
        (checks.Warning if problem.check.startswith("W") else checks.Error)(
            f"Database {db.alias!r}: {problem.text}",
            hint=problem.remedy.replace("manage.py migrate", migrate_command()),
            id=f"rqcron_events.{problem.check}",
        )
        for problem in found
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
            id="rqcron_events.W007",
        )
        for text in texts
    ]
