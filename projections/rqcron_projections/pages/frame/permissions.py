"""Who may see and do what: Django's permissions, one for each action."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

__all__ = ["VIEW_RUNS", "Action", "may", "may_view"]

APP = "rqcron_projections"
VIEW_RUNS = f"{APP}.view_cronrun"


class Action(StrEnum):
    """What people do; the value is the end of the address of its page."""

    PAUSE = "pause"
    RESUME = "resume"
    TRIGGER = "trigger"
    RERUN = "rerun"
    BACKFILL = "backfill"

    @property
    def permission(self) -> str:
        """Declared in the ``Meta`` of ``CronJob``."""
        return f"{APP}.{self.value}_cron"


def may(user: Any, action: Action) -> bool:
    return bool(user.has_perm(action.permission))


def may_view(user: Any, *needed: str) -> bool:
    """Whether somebody has all of these permissions, such as ``rqcron_events.view_cronevent``."""
    return all(user.has_perm(permission) for permission in needed)
