"""System checks of the projections. The ids are stable.

===========================  ================================================================
``rqcron_projections.W001``  rows were built by another VERSION of the code: rebuild them
===========================  ================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core import checks
from django.db import connections
from django.db.utils import DatabaseError

__all__ = ["check_versions", "register_all"]


def register_all() -> None:
    checks.register(check_versions, checks.Tags.database)


def check_versions(
    *, databases: Sequence[str] | None = None, **_: Any
) -> list[checks.CheckMessage]:
    from rqcron_events.conf import conf, problems

    from .models import Checkpoint
    from .projector import PROJECTIONS

    if problems() or not databases or conf().database not in databases:
        return []
    db = connections[conf().database]
    try:
        if "rqcron_checkpoint" not in db.introspection.table_names():
            return []  # not migrated yet
        stored = dict(Checkpoint.objects.using(db.alias).values_list("name", "version"))
    except DatabaseError:
        return []  # Django's own checks report a database that does not answer
    return [
        checks.Warning(
            f"Projection {projection.name!r} was built by version {stored[projection.name]}, but "
            f"the code has version {projection.version}: its older rows may be wrong.",
            hint=f"Run: manage.py cron_replay --projection {projection.name}",
            id="rqcron_projections.W001",
        )
        for projection in PROJECTIONS
        if stored.get(projection.name, projection.version) != projection.version
    ]
