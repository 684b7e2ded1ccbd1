"""System checks of the check-ins. The ids are stable.

===========================  ================================================================
``rqcron_projections.E002``  RQCRON_CHECKINS is wrong
``rqcron_projections.W003``  a monitor leaves crons out, or takes several for one
===========================  ================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core import checks
from django.db.utils import DatabaseError

from rqcron_events.conf import conf
from rqcron_events.conf import problems as other_problems

from .conf import monitors, problems

__all__ = ["check_crons", "check_settings", "register_all"]


def register_all() -> None:
    checks.register(check_settings)
    checks.register(check_crons, checks.Tags.database)


def check_settings(**_: Any) -> list[checks.CheckMessage]:
    if other_problems():
        return []  # rqcron_events.E004 names them
    return [checks.Error(problem, id="rqcron_projections.E002") for problem in problems()]


def check_crons(*, databases: Sequence[str] | None = None, **_: Any) -> list[checks.CheckMessage]:
    """By the crons that the projections know."""
    from .watch import remarks

    if other_problems() or problems() or not databases or conf().database not in databases:
        return []
    try:
        found = [(name, remark) for name, item in monitors().items() for remark in remarks(item)]
    except DatabaseError:
        return []  # not migrated yet, or Django's own checks report a database that does not answer
    return [
        checks.Warning(
            f"Monitor {name!r} in RQCRON_CHECKINS: {remark}",
            hint="Say in 'crons' which crons it is about, and in 'checks' what each is called.",
            id="rqcron_projections.W003",
        )
        for name, remark in found
    ]
