"""System checks of the traces. The ids are stable.

===========================  ================================================================
``rqcron_projections.E003``  RQCRON_TRACES names an exporter that cannot be used
===========================  ================================================================
"""

from __future__ import annotations

from typing import Any

from django.core import checks

from rqcron_events.conf import problems as other_problems

from .conf import problems

__all__ = ["check_traces", "register_all"]


def register_all() -> None:
    checks.register(check_traces)


def check_traces(**_: Any) -> list[checks.CheckMessage]:
    if other_problems():
        return []  # rqcron_events.E004 names them
    return [checks.Error(problem, id="rqcron_projections.E003") for problem in problems()]
