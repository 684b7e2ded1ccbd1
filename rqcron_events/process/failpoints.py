"""Places where a test can kill the process, to prove that recovery does not depend on luck.

``RQCRON_FAILPOINT=after_enqueue`` kills this process (SIGKILL) when it gets there; with ``:3`` at
the third time. Without the variable a failpoint is one comparison. Never set it in production.
"""

from __future__ import annotations

import os
import signal

__all__ = ["FAILPOINTS", "reach"]

FAILPOINTS = {
    "before_decision": "runner, before the decisions are appended",
    "after_decision": "runner, the decisions are committed, nothing is in Redis",
    "after_enqueue": "runner, the jobs are in Redis, run_enqueued is not recorded",
    "after_enqueued": "runner, run_enqueued is recorded",
    "before_snapshot": "runner, before the folded state is saved",
    "after_snapshot": "runner, the folded state is saved",
    "before_repair": "runner, an open run was found that needs a repair",
    "after_repair": "runner, the repairs of a step are done",
    "drain_written": "runner, a spooled event is in the log, not yet removed from Redis",
    "before_start": "work-horse, before run_started is appended",
    "after_start": "work-horse, run_started is committed, the function has not run",
    "after_ask": "work-horse, its writer was asked to record something and has not answered",
    "writer_asked": "writer of a cron_worker, before it writes what a work-horse asked for",
    "writer_written": "writer of a cron_worker, what it was asked for is committed, it has not answered",
    "before_outcome": "work-horse, the function is done, its outcome is not recorded",
    "after_outcome": "work-horse, the outcome is recorded, RQ does not know it yet",
    "before_spool": "work-horse, the ledger is out of reach, before the event is spooled",
    "after_spool": "work-horse, the event is spooled",
    "before_seal": "who seals, a part of the log is read and signed, nothing is stored",
    "seal_written": "who seals, seal and tiles are written, not committed",
    "after_seal": "who seals, the seal is committed, no receiver knows of it",
    "seal_sent": "who seals, a receiver took the checkpoint, that is not recorded",
    "redacting": "cron_redact, texts are deleted, that is neither said nor committed",
    "redacted": "cron_redact, a step is committed",
    "expiring": "who lets old texts go, a step is written, not committed",
    "segment_written": "who archives, the storage has a segment, which was not read back",
    "segment_verified": "who archives, a segment was read back and verified, it is not recorded",
    "segment_recorded": "who archives, a segment is recorded, its rows are in the log",
    "rows_removed": "who archives, a batch of archived rows is gone",
    "restore_written": "who restores, a batch of events is written, not committed",
    "restore_committed": "who restores, a batch of events is committed",
    "restore_whole": "who restores, all events are there, events_restored is not appended",
    "tiles_removed": "who archives, archived rows are gone, and some of their tiles",
}
"""Every failpoint, and the step of the flow that it interrupts."""

_name, _, _count = os.environ.get("RQCRON_FAILPOINT", "").partition(":")
_left = int(_count or 1)

if _name and _name not in FAILPOINTS:
    raise ValueError(
        f"RQCRON_FAILPOINT={_name!r} is unknown. Known: {', '.join(sorted(FAILPOINTS))}."
    )


def reach(name: str) -> None:
    """Die here, if that is what the environment asks for."""
    global _left
    if name != _name:
        return
    _left -= 1
    if _left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
