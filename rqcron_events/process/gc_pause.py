"""When Python looks for cycles."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

__all__ = ["collection_paused"]


_lock = Lock()
_pausing = 0
"""How many batches are under way, in all threads."""
_was_enabled = False
"""Before the first of them."""


@contextmanager
def collection_paused() -> Iterator[None]:
    """For a bounded batch of things that live on: ten thousand events and jobs would be walked
    over and over in search of cycles.

    Measured with benchmarks/dispatch.py; the next collection comes right after.
    """
    global _pausing, _was_enabled
    with _lock:
        if _pausing == 0:
            _was_enabled = gc.isenabled()
            gc.disable()
        _pausing += 1
    try:
        yield
    finally:
        with _lock:
            _pausing -= 1
            if _pausing == 0 and _was_enabled:
                gc.enable()
