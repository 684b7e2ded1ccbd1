"""System checks of the alerts. The ids are stable.

===========================  ================================================================
``rqcron_projections.E001``  RQCRON_ALERTS is wrong
``rqcron_projections.W002``  a mail server that hangs would stop the alerts by mail
===========================  ================================================================
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core import checks

from rqcron_events.conf import problems as other_problems

from .conf import alert_conf, problems

__all__ = ["check_alerts", "register_all"]


def register_all() -> None:
    checks.register(check_alerts)


def check_alerts(**_: Any) -> list[checks.CheckMessage]:
    if other_problems():
        return []  # rqcron_events.E004 names them
    found: list[checks.CheckMessage] = [
        checks.Error(problem, id="rqcron_projections.E001") for problem in problems()
    ]
    if found:
        return found
    kinds = {receiver.kind for receiver in alert_conf().receivers.values()}
    if "mail" in kinds and not hasattr(settings, "MAILERS"):
        if getattr(settings, "EMAIL_TIMEOUT", None):
            return []
        found.append(
            checks.Warning(
                "Alerts go out by mail, but EMAIL_TIMEOUT is not set: a mail server that hangs "
                "would hold them up for ever.",
                hint="Set EMAIL_TIMEOUT = 10 (seconds).",
                id="rqcron_projections.W002",
            )
        )
    return found
