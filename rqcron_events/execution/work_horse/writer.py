"""The writer of a worker that is not a ``cron_worker``, for its work-horses."""

from __future__ import annotations

from rq import Worker

from ..ledger_writer.child import WriterChild
from .start import first_start

__all__ = ["give_writer"]


def give_writer(worker: object) -> None:
    """From this worker's next work-horse on, unless it has one. It is started with the first cron's job among
    them, and ends when the worker does."""
    if isinstance(worker, Worker) and "fork_work_horse" not in vars(worker):
        WriterChild(first_start).watch(worker)
