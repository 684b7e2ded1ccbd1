"""Archiving beside the runner that leads, as one of the log's followers: in a thread, because a segment takes
seconds, and a storage may hang."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta

from django.db.utils import Error

from .. import clock
from ..conf import conf
from ..core.wording import clause
from ..errors import CronError
from ..ledger import store
from ..ledger.backend import backend_of
from ..seals.progress import ARCHIVING, failed, progress, succeeded
from .archiving import SEGMENT_EVENTS, archive
from .boundary import NOTHING_OLD, last_segment

__all__ = ["archive_when_due"]

log = logging.getLogger(__name__)

ACTOR = "runner/archive"
EVERY_SECONDS = 3_600.0
"""How often it looks."""
SMALL_EVERY = timedelta(days=1)
"""How often it writes a segment that has fewer events than segments have."""

_next_at = float("-inf")
"""Monotonic seconds; of this process."""
_thread: threading.Thread | None = None


def archive_when_due() -> int:
    """Have the archive brought up to date every hour, by a thread; returns 0 at once."""
    global _next_at, _thread
    now = clock.monotonic_seconds()
    if conf().keep_days is None or now < _next_at or (_thread and _thread.is_alive()):
        return 0
    _next_at = now + EVERY_SECONDS
    _thread = threading.Thread(target=_work, name="rqcron-archive", daemon=True)
    _thread.start()
    return 0


def _work() -> None:
    try:
        db = store.connection()
        backend_of(db).leave_pool(db)
        archive_old()
    except Error as error:
        log.warning(
            "The archive waits for the database: %s.",
            clause(error),
            extra={"action": "archive_waits"},
        )
    finally:
        store.connection().close()


def archive_old() -> bool:
    """Archive what RQCRON_KEEP_DAYS says is old enough; False when that failed, which is noted. Raises
    Django's database errors."""
    days = conf().keep_days
    if days is None:
        return True
    now, last = clock.now(), last_segment()
    is_time = last is None or last.archived_at <= now - SMALL_EVERY
    try:
        done = archive(
            now - timedelta(days=days), ACTOR, events_min=1 if is_time else SEGMENT_EVENTS
        )
    except CronError as error:
        if failed(ARCHIVING, str(error)):
            log.error("%s", error, extra={"action": "archive_failed"})
        return False
    _note([why for why in done.held_back if why != NOTHING_OLD])
    if done.events or done.removed_rows:
        log.info(
            "%d events are archived in %d segments; %d rows are gone, %d stay.",
            done.events,
            len(done.segments),
            done.removed_rows,
            done.kept_rows,
            extra={"action": "events_archived", "archived_to": done.archived_to},
        )
    return True


def _note(held: list[str]) -> None:
    """What holds it back is as old as what may go, so it does not end by itself."""
    before = progress(ARCHIVING)
    if held:
        text = f"The archive is held back. {' '.join(held)}"
        if failed(ARCHIVING, text):
            log.warning("%s", text, extra={"action": "archive_held_back"})
    elif before is not None and before.failing_since is not None:
        succeeded(ARCHIVING, before.size)
