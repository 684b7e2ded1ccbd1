"""Who sends does so in threads of its own: nobody waits for a receiver, and no receiver for another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from rqcron_events.ledger import store
from rqcron_events.ledger.backend import backend_of

__all__ = ["Threads", "own_connection", "side_by_side", "wait_for"]

T = TypeVar("T")
R = TypeVar("R")


class Threads:
    """Of this process: one for each receiver, as long as there is work for it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._by_key: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()

    def start(
        self, keys: Iterable[str], has_work: Callable[[str], bool], work: Callable[[str], object]
    ) -> list[threading.Thread]:
        """Start a thread for each that there is work for, unless it has one, and return at once with
        all that work now. ``has_work`` is asked here."""
        working = []
        for key in keys:
            with self._lock:
                thread = self._by_key.get(key)
                if thread is None or not thread.is_alive():
                    if not has_work(key):
                        continue
                    thread = threading.Thread(
                        target=work, args=(key,), name=self._name, daemon=True
                    )
                    self._by_key[key] = thread
                    thread.start()
            working.append(thread)
        return working

    def join(self, seconds_max: float) -> None:
        """Wait for all of them, for so long each, and forget them."""
        for thread in list(self._by_key.values()):
            thread.join(seconds_max)
        self._by_key.clear()


def wait_for(working: Sequence[threading.Thread], seconds_max: float) -> bool:
    """So long for all of them together; False when one is still at it."""
    ends = time.monotonic() + seconds_max
    for thread in working:
        thread.join(max(ends - time.monotonic(), 0))
    return not any(thread.is_alive() for thread in working)


@contextmanager
def own_connection() -> Iterator[None]:
    """Around what a thread does in the database: beside the pool, which another may have drained."""
    try:
        db = store.connection()
        backend_of(db).leave_pool(db)
        yield
    finally:
        store.connection().close()


def side_by_side(do: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """What ``do`` returns for each, all of them at once; it must not raise, nor use the database. Daemon
    threads, so that a process that is told to end does not wait for them."""
    if len(items) == 1:
        return [do(items[0])]
    found: dict[int, R] = {}

    def work(number: int) -> None:
        found[number] = do(items[number])

    threads = [
        threading.Thread(target=work, args=(number,), name="rqcron-sends", daemon=True)
        for number in range(len(items))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[number] for number in range(len(items))]
