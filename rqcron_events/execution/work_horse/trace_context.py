"""The run's trace as the current one, while its function runs: for code that OpenTelemetry instruments.

The span itself is told later, from the log: what a work-horse would tell is lost with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID

from ...conf import conf
from ...core.events.trace_ids import attempt_span_id, is_sampled

__all__ = ["in_trace", "load"]


def load() -> Any:
    """OpenTelemetry's API; None without it, and where no traces are told. Before a fork, it is loaded for
    all work-horses."""
    with suppress(Exception):  # missing, or broken: then the function runs without
        if conf().trace_ratio is not None:
            import opentelemetry.context
            import opentelemetry.trace

            return opentelemetry
    return None


@contextmanager
def in_trace(run_id: UUID, attempt: int) -> Iterator[None]:
    """Spans that begin in the block are children of the attempt's."""
    found, token = load(), None
    if found is not None:
        with suppress(Exception):
            token = found.context.attach(_context(found.trace, run_id, attempt))
    try:
        yield
    finally:
        if token is not None:
            with suppress(Exception):  # whatever the function did to it, its outcome stands
                found.context.detach(token)


def _context(trace: Any, run_id: UUID, attempt: int) -> Any:
    sampled = is_sampled(run_id, conf().trace_ratio or 0.0)
    context = trace.SpanContext(
        trace_id=run_id.int,
        span_id=attempt_span_id(run_id, attempt),
        is_remote=True,
        trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED if sampled else 0),
    )
    return trace.set_span_in_context(trace.NonRecordingSpan(context))
