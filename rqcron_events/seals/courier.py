"""Tells receivers of the newest seal, in a thread each: one that hangs holds up no other, and nobody else."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db.utils import Error

from .. import clock
from ..conf import conf
from ..core.wording import clause
from ..errors import SegmentUnavailable
from ..ledger import store
from ..ledger.backend import backend_of
from ..models import CronSeal
from ..process.failpoints import reach
from .keys import verifiers
from .progress import failed, of_receiver, progress, succeeded
from .receivers.send import NotTaken, send
from .receivers.timestamp import SECONDS_BY_DEFAULT
from .segments import WholeTiles
from .stored import newest_seal, seals

__all__ = ["deliver", "deliver_all", "wake"]

log = logging.getLogger(__name__)

STEP_EVENTS = 200_000
"""A receiver that is far behind is brought up to date in steps of so many."""
STEPS_MAX = 1_000_000

_threads: dict[str, threading.Thread] = {}
"""Of this process, by receiver."""
_lock = threading.Lock()


def wake() -> list[threading.Thread]:
    """Start a thread for each receiver, unless it has one, and return at once with all that work."""
    working = []
    for name, options in conf().seal_receivers.items():
        with _lock:
            thread = _threads.get(name)
            if thread is None or not thread.is_alive():
                thread = threading.Thread(
                    target=_work, args=(name, options), name="rqcron-seals", daemon=True
                )
                _threads[name] = thread
                thread.start()
        working.append(thread)
    return working


def deliver_all(seconds_max: float) -> bool:
    """Tell all, for so long at most; False when somebody is still at it."""
    threads, ends = wake(), time.monotonic() + seconds_max
    for thread in threads:
        thread.join(max(ends - time.monotonic(), 0))
    return not any(thread.is_alive() for thread in threads)


def _work(name: str, options: Mapping[str, Any]) -> None:
    try:
        db = store.connection()
        backend_of(db).leave_pool(db)
        deliver(name, options)
    except Error as error:
        log.warning(
            "Receiver %s of checkpoints waits for the database: %s.",
            name,
            clause(error),
            extra={"action": "receiver_waits", "receiver": name},
        )
    finally:
        store.connection().close()


def deliver(name: str, options: Mapping[str, Any]) -> bool:
    """Tell a receiver, unless it knows the newest seal; False when it did not take it, which is noted.

    A receiver that missed some gets the newest: that one speaks of all events before it. Raises
    Django's database errors.
    """
    for _ in range(STEPS_MAX):
        row, newest = progress(of_receiver(name)), newest_seal()
        known = row.size if row else 0
        if newest is None or (row and known == newest.size and row.failing_since is None):
            return True
        if row is not None and row.failing_since is None and _is_too_soon(row.at, options):
            return True
        seal = _next(known, newest)
        about = {"receiver": name, "events": seal.size}
        try:
            answer = send(options, seal.note, seal.size, WholeTiles(), verifiers())
        except (NotTaken, SegmentUnavailable) as error:
            first = failed(of_receiver(name), str(error))
            log.log(
                logging.WARNING if first else logging.DEBUG,
                "Receiver %s does not take the checkpoint of %d events: %s. It is tried again.",
                name,
                seal.size,
                error,
                extra={"action": "checkpoint_not_taken", **about},
            )
            return False
        reach("seal_sent")
        succeeded(of_receiver(name), seal.size, answer)
        log.debug(
            "Receiver %s has the checkpoint of %d events.",
            name,
            seal.size,
            extra={"action": "checkpoint_taken", **about},
        )
    return False


def _is_too_soon(last: datetime, options: Mapping[str, Any]) -> bool:
    """Whether a receiver is not to be asked that often."""
    if options["kind"] != "timestamp":
        return False
    return clock.now() - last < timedelta(seconds=options.get("seconds", SECONDS_BY_DEFAULT))


def _next(known: int, newest: CronSeal) -> CronSeal:
    between = seals().filter(size__gte=known + STEP_EVENTS)
    return (between.first() if newest.size > known + STEP_EVENTS else None) or newest
