"""What a command shows should be current, but a late answer is better than none."""

from __future__ import annotations

from typing import Any

from django.db.utils import DatabaseError

from rqcron_events.core.wording import clause
from rqcron_events.errors import CronError

from ..projector import catch_up

__all__ = ["catch_up_or_say"]


def catch_up_or_say(stderr: Any) -> None:
    """Bring the projections up to date; when that fails, say so and let the command go on."""
    try:
        catch_up()
    except (DatabaseError, CronError, ValueError) as error:  # ValueError: an event not understood
        stderr.write(
            f"The projections are not up to date: {clause(error)}. What follows may lack the last events."
        )
