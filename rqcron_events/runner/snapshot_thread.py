"""Saving the snapshot beside the thread that decides: where many runs are open it takes seconds."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from django.db import OperationalError

from .. import clock
from ..core.wording import clause
from ..ledger import store
from ..ledger.backend import backend_of
from ..ledger.snapshot import Unsaved
from ..process.failpoints import reach
from ..process.right_of_way import RightOfWay

__all__ = ["SnapshotThread", "save_unless_locked"]

log = logging.getLogger(__name__)

_NOT_SAVED = {"action": "snapshot_not_saved"}
PIECE_SECONDS = 0.02
"""Between two looks at whether somebody decides: what a few hundred open runs take to be encoded."""
REST_PIECES = 2
"""How many times as long as a piece the thread rests after it: it shares the interpreter with the others."""
REST_SECONDS_MAX = 0.1
STOP_SECONDS = 1.0
"""How long a stop waits for a snapshot. It is a cache: whoever leads next folds what it lacks."""


def save_unless_locked(
    unsaved: Unsaved, still_leads: Callable[[], bool], pause: Callable[[], None] = lambda: None
) -> None:
    """Save it, unless somebody holds the rows locked: it is a cache."""
    try:
        unsaved.snapshot.save(unsaved, still_leads, pause)
        reach("after_snapshot")
    except OperationalError as error:
        if not backend_of(store.connection()).was_locked(error):
            raise
        log.warning(
            "The snapshot is locked by somebody else's transaction (%s); it is saved later.",
            clause(error),
            extra={"action": "snapshot_locked"},
        )


class SnapshotThread(threading.Thread):
    """A daemon thread with its own database connection; saves one snapshot at a time."""

    def __init__(self, still_leads: Callable[[], bool], way: RightOfWay) -> None:
        super().__init__(name="rqcron-snapshot", daemon=True)
        self._still_leads = still_leads
        self._way = way
        self._paused_at = 0.0
        """Monotonic seconds: the last such look, or when this snapshot was begun."""
        self._unsaved: Unsaved | None = None
        self._wake = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._stopping = False
        self._hurries = threading.Event()
        """A stop waits for it: no rest any more."""

    @property
    def is_idle(self) -> bool:
        return self._idle.is_set()

    def save(self, unsaved: Unsaved) -> None:
        """Save this, unless the last one is still being saved."""
        if self.is_idle:
            self._unsaved = unsaved
            self._idle.clear()
            self._wake.set()

    def stop(self) -> None:
        """End, once what was given is saved, or has taken too long."""
        self._hurries.set()
        self._idle.wait(STOP_SECONDS)
        self._stopping = True
        self._wake.set()
        if self.is_idle and self.is_alive():
            self.join(STOP_SECONDS)

    def run(self) -> None:
        try:
            db = store.connection()
            backend_of(db).leave_pool(db)  # the deciding thread may hold all of a small one
            while True:
                self._wake.wait()
                self._wake.clear()
                if self._stopping:
                    return
                self._save()
                self._idle.set()
        finally:
            store.connection().close()

    def _save(self) -> None:
        unsaved, self._unsaved = self._unsaved, None
        if unsaved is None:
            return
        self._paused_at = clock.monotonic_seconds()
        try:
            save_unless_locked(unsaved, self._still_leads, self._pause)
        except Exception as error:  # what it lacks is saved the next time
            log.error("The snapshot cannot be saved now: %s", clause(error), extra=_NOT_SAVED)
            store.connection().close()

    def _pause(self) -> None:
        took = clock.monotonic_seconds() - self._paused_at
        if took >= PIECE_SECONDS:
            self._hurries.wait(min(REST_PIECES * took, REST_SECONDS_MAX))
            self._way.give(PIECE_SECONDS)
            self._paused_at = clock.monotonic_seconds()
