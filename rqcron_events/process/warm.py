"""What a work-horse would import and build after its fork, made once before the first one.

RQ imports a job's function in the work-horse, so each would pay for it again. It is done in workers
only: other processes that fork, such as web servers, never need it. Nothing here connects to anything:
a connection would be shared over the fork. From then on the worker has a writer, for its next work-horses.
"""

from __future__ import annotations

import logging
import os
import sys
from importlib import import_module

__all__ = ["warm_before_forks"]

log = logging.getLogger(__name__)

FORKS_IN = "fork_work_horse"
"""The method of RQ's workers, and of their subclasses, that calls ``os.fork``."""
_is_warm = False


def warm_before_forks() -> None:
    """Have this process do it, should it turn out to be a worker that forks. Once per process."""
    os.register_at_fork(before=_before_fork)


def _before_fork() -> None:
    frame = sys._getframe(1)
    if not _is_warm and frame.f_code.co_name == FORKS_IN:
        _warm(frame.f_locals.get("self"))


def _warm(worker: object) -> None:
    global _is_warm
    _is_warm = True
    try:
        import_module("rqcron_events.worker")
        import_module("rqcron_events.ledger.store").connection()  # Django's object; it is not open
        import_module("rqcron_events.execution.work_horse.trace_context").load()
        import_module("rqcron_events.execution.work_horse.writer").give_writer(worker)
    except Exception as error:  # then each job says so, as it would without this
        log.debug(
            "Not everything could be loaded before the fork: %s",
            error,
            extra={"action": "not_warmed"},
        )
