"""What the writer does: it takes up channels, and writes what is asked for, one after the other.

Each event is written on a known version of its run's stream, so whoever was not answered may write the
same event again: it is in the log once.
"""

from __future__ import annotations

import logging
import selectors
import socket
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from django.db import connections
from redis import Redis

from ...core.bounded import bounded
from ...core.events import Event, EventType
from ...core.wording import clause
from ...errors import VersionConflict
from ...ledger import store
from ...ledger.backend import backend_of
from ...ledger.run_streams import read_run
from ...process.failpoints import reach
from ...process.parent_watch import die_with_parent
from ...process.time_limit import time_limit
from .. import spool
from .channel import ask_seconds
from .message import ANSWER_BYTES_MAX, ASK_BYTES_MAX, NOT_WRITTEN, decode

__all__ = ["NEW_CHANNEL", "STOP", "TAKEN_UP", "run", "serve"]

log = logging.getLogger(__name__)

NEW_CHANNEL, STOP = b"+", b"."
"""What the worker says; with the first comes a socket."""
TAKEN_UP = b"+"
"""What it is answered, so that it notices a writer that hangs."""
IDLE_SECONDS_MAX = 60.0
"""After that the connection is closed: what lies between may drop one that is silent, without a word."""
NAME = "rqcron-writer"
"""For ``ps`` and ``top``; at most 15 characters."""


def run(control: socket.socket, worker_pid: int, redis: Redis) -> None:
    """The whole life of the process, just after the fork. ``redis`` is the worker's; over a fork, it connects anew."""
    die_with_parent(worker_pid)
    with suppress(OSError):  # Linux only
        Path("/proc/self/comm").write_text(NAME)
    for db in connections.all(
        initialized_only=True
    ):  # the worker's: to close one would end it there
        connections[db.alias] = connections.create_connection(db.alias)
    backend_of(store.connection()).leave_pool(store.connection())  # it has no threads after a fork
    serve(control, redis)


def serve(control: socket.socket, redis: Redis) -> None:
    """Until the worker says so, or is gone."""
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        while _serve_once(selector, redis):
            pass
        for key in selector.get_map().values():
            if key.data is not None:
                key.data.end.close()


def _serve_once(selector: selectors.BaseSelector, redis: Redis) -> bool:
    """Wait for what is said, and do it. False at the end."""
    ready = selector.select(IDLE_SECONDS_MAX)
    if not ready:
        store.connection().close()
    # The worker last: what was asked for by then is written before this ends.
    for key, _ in sorted(ready, key=lambda ready: ready[0].data is None):
        if key.data is not None:
            if not key.data.hear(redis):
                selector.unregister(key.fileobj)
                key.data.end.close()
            continue
        assert isinstance(key.fileobj, socket.socket)
        horses = _take_up(key.fileobj)
        if horses is None:
            return False
        for horse in horses:
            selector.register(horse.end, selectors.EVENT_READ, horse)
    return True


def _take_up(control: socket.socket) -> list[_WorkHorse] | None:
    """A new channel; None when the worker says that this is all, or is gone."""
    try:
        said, files, _, _ = socket.recv_fds(control, 1, 1)
    except ConnectionResetError:  # it is gone, and has not read what it was answered
        return None
    if said != NEW_CHANNEL:
        return None
    with suppress(OSError):  # nobody has read them for long
        control.send(TAKEN_UP, socket.MSG_DONTWAIT)
    return [_WorkHorse(socket.socket(fileno=file)) for file in files]


class _WorkHorse:
    """The other end of a channel, and what came of an ask so far."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self.end = end
        self._heard = b""

    def hear(self, redis: Redis) -> bool:
        """Read what there is, and answer what is whole. False when the channel is to be closed."""
        try:
            part = self.end.recv(1 << 16)
            self._heard += part
            if not part or len(self._heard) > ASK_BYTES_MAX:
                return False
            if self._heard.endswith(b"\n"):
                ask, self._heard = self._heard, b""
                self.end.sendall(
                    _answer(ask, redis)
                )  # into a buffer that is empty, unless nobody reads
        except OSError:
            return False
        return True


def _answer(line: bytes, redis: Redis) -> bytes:
    try:
        with time_limit(ask_seconds()):
            event = decode(line)
            reach("writer_asked")
            version = _written(event, redis)
            reach("writer_written")
    except Exception as error:
        with suppress(Exception):
            store.connection().close()  # whatever it is, the next one begins anew
        why = bounded(" ".join(clause(error).split()), ANSWER_BYTES_MAX // 2)
        log.debug("Not written: %s", why, extra={"action": "writer_refuses"})
        return NOT_WRITTEN + why.encode(errors="replace") + b"\n"
    if version is None:
        return NOT_WRITTEN + b"the start has to be judged\n"
    return b"%d\n" % version


def _written(event: Event, redis: Redis) -> int | None:
    """See ``version_in``."""
    assert event.run_id is not None
    if event.type is EventType.RUN_STARTED:
        # I4: a success of an attempt before may wait there.
        return store.append_first_start(event) if spool.is_empty(redis, event.run_id) else None
    for _ in range(store.TRIES_MAX):
        if store.append_free(event):
            return event.version
        state = read_run(event.run_id)
        if not state.takes(event):
            return 0
        event = replace(event, version=state.version + 1)
    raise VersionConflict(event.stream, event.version)
