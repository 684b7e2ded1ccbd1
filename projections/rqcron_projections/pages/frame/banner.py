"""What stands above every page while something keeps crons, or what pages show, from going on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from django.db import DatabaseError

from rqcron_events import clock
from rqcron_events.cli.problems import database_problem, is_unmigrated
from rqcron_events.core.wording import clause
from rqcron_events.errors import CronError
from rqcron_events.ledger import store
from rqcron_events.ledger.backend import backend_of
from rqcron_events.models import CronEvent, QuarantinedEvent
from rqcron_events.queries.at_a_glance import at_a_glance
from rqcron_events.queries.figures import newest_event

from ...folds.cron_status import RETIRED
from ...models import Checkpoint, CronJob
from ...projector import PROJECTIONS, broken, catch_up_some

__all__ = ["Note", "bring_up_to_date", "notes", "trouble"]

REDIS_SECONDS_MAX = 1.0
"""How long a page waits for one answer of Redis."""
EVENTS_MAX = 500
"""Of the log that a page folds itself; the leading runner does the rest."""
CATCH_UP_SECONDS_MAX = 3.0
LOCK_SECONDS_MAX = 0.5
JUST_NOW = timedelta(seconds=5)
"""What is appended while a page is made is no news."""
MAY_LACK = "What this page shows may be older."


@dataclass(frozen=True, slots=True)
class Note:
    """One line of the banner."""

    text: str
    is_fault: bool = True


def trouble(error: DatabaseError) -> str:
    """What a statement of a page ran into, in one line."""
    if backend_of(store.connection()).was_locked(error):
        return "Another transaction holds its table, or the query takes too long."
    return database_problem(error)


def bring_up_to_date() -> list[Note]:
    """Fold what is new in the log, as every reader does; says so where that is not possible."""
    db = store.connection()
    try:
        with backend_of(db).not_waiting(db, LOCK_SECONDS_MAX, CATCH_UP_SECONDS_MAX):
            catch_up_some(EVENTS_MAX)
    except DatabaseError as error:
        if is_unmigrated(error):
            raise
        return [Note(f"The projections are not up to date. {trouble(error)} {MAY_LACK}")]
    except (CronError, ValueError) as error:  # ValueError: an event not understood
        return [Note(f"The projections are not up to date: {clause(error)}. {MAY_LACK}")]
    return []


def notes() -> list[Note]:
    """Who decides, what is paused, who serves the queues, and how far the projections are. What is
    locked or damaged is told, and hides nothing else."""
    db = store.connection()
    found: list[Note] = []
    parts = {"Whether crons run": _at_a_glance, "The state of the projections": _of_projections}
    for what, look in parts.items():
        try:
            with backend_of(db).not_waiting(db, LOCK_SECONDS_MAX, CATCH_UP_SECONDS_MAX):
                found += look(db.alias)
        except DatabaseError as error:
            found.append(Note(f"{what} is not known. {trouble(error)}"))
        except (CronError, ValueError) as error:  # ValueError: an event not understood
            found.append(Note(f"{what} is not known: {clause(error)}."))
    return found


def _at_a_glance(alias: str) -> Iterator[Note]:
    jobs = CronJob.objects.using(alias).exclude(status=RETIRED).order_by()
    queues = set(jobs.values_list("queue", flat=True).distinct())
    glance = at_a_glance(queues, REDIS_SECONDS_MAX)
    for item in glance.obstacles:
        yield Note(item.sentence, item.is_fault)
    if glance.spool_length:
        runs = f"{glance.spool_length} run{'s' * (glance.spool_length != 1)}"
        yield Note(f"Events of {runs} wait in Redis; a runner will write them.", False)


def _of_projections(alias: str) -> Iterator[Note]:
    points = {point.name: point for point in Checkpoint.objects.using(alias)}
    head = newest_event()
    names = [item.name for item in PROJECTIONS]
    known = [points[name].position if name in points else 0 for name in names]
    lacking = CronEvent.objects.using(alias).filter(id__gt=min(known)).order_by("id")
    oldest = lacking.values_list("occurred_at", flat=True).first()
    if oldest is not None and clock.now() - oldest > JUST_NOW:
        behind = head - min(known)
        newest = f"newest {behind:,} events" if behind > 1 else "newest event"
        yield Note(f"The projections lack the {newest} of the log. {MAY_LACK}", False)
    for item in PROJECTIONS:
        point = points.get(item.name)
        if point is not None and point.version != item.version:
            yield Note(
                f"Projection {item.name!r} was built by another release: its older rows may be "
                f"wrong. Run: manage.py cron_replay --projection {item.name}",
                False,
            )
    for name in broken():
        yield Note(f"Projection {name!r} is not up to date: it cannot fold the log. {MAY_LACK}")
    unreadable = QuarantinedEvent.objects.using(alias).values("event_id").distinct().count()
    if unreadable:
        events = f"{unreadable:,} event{'s' * (unreadable != 1)}"
        yield Note(
            f"{events} of the log cannot be read, and no page shows them: see cron_quarantine."
        )
