"""The writer of a worker that is not a ``cron_worker``, for its work-horses."""

from __future__ import annotations

from typing import Any

from rq import Worker

from ..ledger_writer.child import WriterChild
from .start import first_start

__all__ = ["give_writer"]


def give_writer(worker: object) -> None:
    """From this worker's next work-horse on, unless it has one. It is started with the first cron's job among
    them, and ends when the worker does."""
    if not isinstance(worker, Worker) or "fork_work_horse" in vars(worker):
        return
    writer, teardown = WriterChild(first_start), worker.teardown

    def stop_writer_and_tear_down() -> None:
        writer.stop()
        teardown()  # type: ignore[no-untyped-call]

    patched: Any = writer.watch(worker)
    patched.teardown = stop_writer_and_tear_down
