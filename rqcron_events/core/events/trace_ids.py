"""The ids of a run's spans, as W3C Trace Context has them: each process makes them out of the run id.

So nothing is handed on with a job, what is told twice has the same ids, and a run can be found by its id:
the trace id is the run id without its dashes. A UUID of version 4 or 5 ends in 56 random bits, as
Trace Context asks of a trace id.
"""

from __future__ import annotations

from hashlib import blake2b
from uuid import UUID

__all__ = ["attempt_span_id", "decision_span_id", "is_sampled", "run_span_id", "traceparent"]

RANDOM_PARTS = 1 << 56
"""The bits at the right end of a trace id are random."""


def decision_span_id(run_id: UUID) -> int:
    """Of the decision or the request that made the run."""
    return _span_id(run_id, "decision")


def run_span_id(run_id: UUID) -> int:
    return _span_id(run_id, "run")


def attempt_span_id(run_id: UUID, attempt: int) -> int:
    """``attempt``: from 1. What the function does is below it."""
    return _span_id(run_id, f"attempt {attempt}")


def is_sampled(run_id: UUID, ratio: float) -> bool:
    """Whether the run's trace is one of those that are told: as many of all as ``ratio`` says, 0 to 1.

    >>> is_sampled(UUID(int=0), 1.0), is_sampled(UUID(int=2**56 - 1), 0.0)
    (True, False)
    """
    return run_id.int % RANDOM_PARTS >= round((1 - ratio) * RANDOM_PARTS)


def traceparent(run_id: UUID, attempt: int, ratio: float) -> str:
    """The header of W3C Trace Context for what an attempt calls.

    >>> traceparent(UUID("9f0b1c8e-6f0a-5d2b-8c57-0f6f2f1d3a41"), 1, 1.0)
    '00-9f0b1c8e6f0a5d2b8c570f6f2f1d3a41-3da492ebe4d5fcc9-01'
    """
    flags = "01" if is_sampled(run_id, ratio) else "00"
    return f"00-{run_id.hex}-{attempt_span_id(run_id, attempt):016x}-{flags}"


def _span_id(run_id: UUID, part: str) -> int:
    digest = blake2b(run_id.bytes, digest_size=8, key=part.encode()).digest()
    return int.from_bytes(digest) or 1  # 0 stands for none
