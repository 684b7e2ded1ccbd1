"""Collection stays off while any batch is under way, and comes back after the last."""

from __future__ import annotations

import gc
from contextlib import ExitStack

from rqcron_events.process.gc_pause import collection_paused


def test_batches_of_two_threads_that_overlap_leave_collection_as_it_was():
    assert gc.isenabled()
    first, second = ExitStack(), ExitStack()
    first.enter_context(collection_paused())
    second.enter_context(collection_paused())
    first.close()
    assert not gc.isenabled()
    second.close()
    assert gc.isenabled()


def test_who_turned_collection_off_finds_it_off():
    gc.disable()
    try:
        with collection_paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()
