"""What a command shows should be current, but a late answer is better than none."""

from __future__ import annotations

from typing import Any

from django.db.utils import DatabaseError

from rqcron_events.cli.problems import database_problem, is_unmigrated
from rqcron_events.core.wording import clause
from rqcron_events.errors import CronError
from rqcron_events.ledger.quarantine import problem_texts

from ..projector import broken, catch_up

__all__ = ["catch_up_or_say"]

MAY_LACK = "What follows may lack the last events."


def catch_up_or_say(stderr: Any) -> None:
    """Bring the projections up to date; when that fails, say so and let the command go on. Say as
    well which events are in no row, or keep a cron from being decided."""
    try:
        catch_up()
    except DatabaseError as error:
        if is_unmigrated(error):
            raise  # nothing follows that could be shown
        stderr.write(f"The projections are not up to date. {database_problem(error)} {MAY_LACK}")
        return
    except (CronError, ValueError) as error:  # ValueError: an event not understood
        stderr.write(f"The projections are not up to date: {clause(error)}. {MAY_LACK}")
        return
    for name in broken():
        stderr.write(f"Projection {name!r} is not up to date: it cannot fold the log. {MAY_LACK}")
    for text in problem_texts():
        stderr.write(text)
