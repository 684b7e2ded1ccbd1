"""When Python looks for cycles."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["collection_paused"]


@contextmanager
def collection_paused() -> Iterator[None]:
    """For a bounded batch of things that live on: ten thousand events and jobs would be walked
    over and over in search of cycles.

    Measured with benchmarks/dispatch.py; the next collection comes right after.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
