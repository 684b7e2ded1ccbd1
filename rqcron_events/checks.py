"""System checks: what is wrong, the value, the remedy. The ids are stable.

E005 to E009, W001 to W008 and I003: ``manage.py check --database``. W009 asks Redis: ``check --deploy``,
and so is I004. I001 to I004 are no faults.

What is about single crons (E001, E002, E003, E010, E011) is an error for ``manage.py check`` itself, which then
exits with 1. Every other command runs the checks first and would be stopped by an error: there it is a
warning, so that one wrong cron stops no ``migrate``.

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
``rqcron_events.E010``  a function that a worker cannot run with its arguments
``rqcron_events.E011``  ``renamed_from`` names a cron that the code still has, or is given twice
``rqcron_events.I001``  a queue's serializer has to be given to plain rqworker
``rqcron_events.I002``  ``rqcron_projections`` is not installed, and what is missing without it
``rqcron_events.I003``  a ``renamed_from`` has no effect
``rqcron_events.I004``  the log is not sealed
``rqcron_events.W001``  events in the log do not pass a CHECK that holds for new ones
``rqcron_events.W002``  a trigger that is not ours can refuse events
``rqcron_events.W003``  ids can be given by a statement, or come to an end
``rqcron_events.W004``  the log's table exists in several schemas
``rqcron_events.W005``  a timeout of the role is short for the commands that read the whole log
``rqcron_events.W006``  a pooler stands before the database
``rqcron_events.W007``  events cannot be read, and readers of the log go on without them
``rqcron_events.W008``  the CHECKs cannot be compared with ours
``rqcron_events.W009``  a Redis may evict keys
``rqcron_events.W010``  ``RQCRON_ENABLED`` names a cron that this code does not have
``rqcron_events.W011``  both day fields of a schedule are restricted, and either is enough
``rqcron_events.W012``  a step in a schedule is uneven, or larger than its field
``rqcron_events.W013``  many daily crons are due at the same minute
======================  =====================================================================
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from django.apps import apps
from django.core import checks
from django.core.management import get_commands
from django.db import connections
from django.db.utils import DatabaseError

__all__ = [
    "check_projections",
    "check_quarantine",
    "check_redis",
    "check_registry",
    "check_renames",
    "check_schedules",
    "check_seals",
    "check_serializers",
    "check_settings",
    "check_tables",
    "register_all",
]


CRONS_TOLD_MAX = 3
REDIS_SECONDS_MAX = 2.0
"""How long a Redis may take to answer a check."""


def register_all() -> None:
    checks.register(check_settings)
    checks.register(check_registry)
    checks.register(check_schedules)
    checks.register(check_serializers)
    checks.register(check_projections)
    checks.register(check_redis, deploy=True)
    checks.register(check_seals, deploy=True)
    checks.register(check_tables, checks.Tags.database)
    checks.register(check_quarantine, checks.Tags.database)
    checks.register(check_renames, checks.Tags.database)


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
            found.append(_of_a_cron(shown(text), id=f"rqcron_events.E00{2 if twice else 1}"))
    found += _refused_by_rq()
    found += _functions()
    found += _unknown_names()
    found += _renames()
    for broken in registry.broken_modules.values():
        found.append(
            _of_a_cron(
                f"Module {broken.module} does not import: {shown(broken.error)}.",
                hint=f"{broken.told} What is in the log stays in effect; fix the import.",
                id="rqcron_events.E003",
            )
        )
    return found


def check_schedules(**_: Any) -> list[checks.CheckMessage]:
    """What is right, and often not what was meant. Enabled crons only."""
    from .core.schedule import CronSchedule
    from .core.schedule.doubts import DoubtKind, doubts, herds
    from .registry import registry

    registry.discover()
    ids = {DoubtKind.EITHER_DAY: "rqcron_events.W011", DoubtKind.STEP: "rqcron_events.W012"}
    found: list[checks.CheckMessage] = []
    at_fixed_times: dict[str, CronSchedule] = {}
    for cron in registry.crons.values():
        definition = cron.definition
        schedule = definition.schedule
        if definition.disabled or not isinstance(schedule, CronSchedule):
            continue
        if not definition.jitter_seconds:
            at_fixed_times[cron.name] = schedule
        for doubt in doubts(schedule):
            text = f"Cron {cron.name!r}: schedule {definition.expression!r}: {doubt.text}."
            found.append(checks.Warning(text, hint=doubt.remedy, id=ids[doubt.kind]))
    for herd in herds(at_fixed_times):
        some = ", ".join(map(repr, herd.names[:CRONS_TOLD_MAX]))
        found.append(
            checks.Warning(
                f"{len(herd.names)} crons are due each day at {herd.clock} {herd.zone}: {some}, ...",
                hint="Spread them: H in the minute ('H 0 * * *') or jitter=timedelta(minutes=10).",
                id="rqcron_events.W013",
            )
        )
    return found


def _of_a_cron(text: str, **more: Any) -> checks.CheckMessage:
    """A warning where another command than ``check`` runs the checks before its own work."""
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    is_other = command != "check" and command in get_commands()
    return (checks.Warning if is_other else checks.Error)(text, **more)


def _unknown_names() -> list[checks.CheckMessage]:
    """A wrong name would leave a cron on, or off, without a word."""
    from django.conf import settings

    from .core.wording import did_you_mean
    from .registry import registry

    named = getattr(settings, "RQCRON_ENABLED", True)
    if not isinstance(named, dict) or registry.broken_modules:
        return []  # what is in a broken module is not known
    known = {*registry.crons, *registry.problems}
    unknown = [name for name in named if isinstance(name, str) and name not in {*known, "*"}]
    return [
        checks.Warning(
            f"Setting RQCRON_ENABLED names {name!r}, which is no cron of this code.",
            hint=f"{did_you_mean(name, known)} Correct the name, or take it out.".lstrip(),
            id="rqcron_events.W010",
        )
        for name in unknown
    ]


def _renames() -> list[checks.CheckMessage]:
    """As far as the code alone tells."""
    from .core.renames.names import match_names
    from .core.wording import shown
    from .registry import registry

    refused = match_names(registry.names(), {}).refused.values()
    return [_of_a_cron(shown(why), id="rqcron_events.E011") for why in refused]


def _functions() -> list[checks.CheckMessage]:
    from .core.wording import shown
    from .cron_options import function_fault
    from .registry import registry

    found: list[checks.CheckMessage] = []
    for cron in registry.crons.values():
        fault = function_fault(cron.function, cron.args, cron.kwargs)
        if fault:
            problem, _, remedy = shown(fault).rpartition(". ")
            found.append(
                _of_a_cron(
                    f"Cron {cron.name!r}: {cron.definition.function} cannot be run: {problem}.",
                    hint=f"{remedy}.",
                    id="rqcron_events.E010",
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
                _of_a_cron(
                    f"Cron {cron.name!r}: RQ would refuse its job: {kind}: {text}.",
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
            f"Queue {name!r} has SERIALIZER {serializer} in RQ_QUEUES, which rqworker ignores.",
            hint=f"Run cron_worker, or rqworker --serializer {serializer}.",
            id="rqcron_events.I001",
        )
        for name, serializer in given.items()
        if serializer
    ]


def check_projections(**_: Any) -> list[checks.CheckMessage]:
    if apps.is_installed("rqcron_projections"):
        return []
    return [
        checks.Info(
            "rqcron_projections is not in INSTALLED_APPS: cron_list, cron_history, cron_report and "
            "cron_replay are missing. Crons run without it.",
            hint="Add 'rqcron_projections' after 'rqcron_events', and run manage.py migrate.",
            id="rqcron_events.I002",
        )
    ]


def check_redis(**_: Any) -> list[checks.CheckMessage]:
    """A Redis that does not answer is no finding here: ``cron_health`` says that."""
    from .execution.enqueuer import Enqueuer
    from .execution.waiting_jobs.continuity import eviction_policy

    found: list[checks.CheckMessage] = []
    for redis, connection in Enqueuer(REDIS_SECONDS_MAX, tries_once=True).servers().items():
        policy = eviction_policy(connection)
        if policy:
            found.append(
                checks.Warning(
                    f"Redis {redis} has maxmemory-policy {policy}: when it is full it deletes jobs, or "
                    "the keys that show a worker is alive.",
                    hint="Set maxmemory-policy noeviction on the Redis of RQ_QUEUES.",
                    id="rqcron_events.W009",
                )
            )
    return found


def check_seals(**_: Any) -> list[checks.CheckMessage]:
    """Wrong settings are E004; this is about none."""
    from .conf import conf, problems

    if problems():
        return []
    settings = conf()
    text, hint = "", "docs/seals.md"
    if not settings.seal_key:
        text = (
            "RQCRON_SEAL_KEY is not set: the log is not sealed, so its owner can change it unseen."
        )
        hint = "Make a key: manage.py cron_seal --new-key NAME. See docs/seals.md"
    elif not settings.seal_receivers:
        text = (
            "RQCRON_SEAL_RECEIVERS is empty: checkpoints stay in the database that they are about, and "
            "prove nothing against who owns it."
        )
    return [checks.Info(text, hint=hint, id="rqcron_events.I004")] if text else []


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


def check_renames(*, databases: Sequence[str] | None = None, **_: Any) -> list[checks.CheckMessage]:
    """No fault: where the log never had the old name, as in a new project, there is nothing to take
    over."""
    from .conf import conf, problems
    from .core.wording import shown
    from .ledger.lookup import renames_without_effect
    from .registry import registry

    if problems() or not databases or conf().database not in databases:
        return []
    registry.discover()
    try:
        if "rqcron_event" not in connections[conf().database].introspection.table_names():
            return []  # not migrated yet
        texts = renames_without_effect(registry.names())
    except DatabaseError:
        return []
    return [
        checks.Info(
            shown(text),
            hint="Correct the name, or remove renamed_from.",
            id="rqcron_events.I003",
        )
        for text in texts
    ]
