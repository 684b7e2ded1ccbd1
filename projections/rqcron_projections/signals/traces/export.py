"""Spans as OpenTelemetry's SDK has them, and handing them to its exporter. Nothing else imports it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from django.utils.module_loading import import_string
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, detach, set_value
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from rqcron_events import __version__

from .spans import SpanData

__all__ = ["Exporter"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SERVICE = "rqcron-events"
"""Where the environment names no service (OTEL_SERVICE_NAME)."""


class Exporter:
    """Hands spans over, and says whether they were taken."""

    def __init__(self, path: str) -> None:
        """``path``: see ``TraceConf.exporter``. Raises whatever it raises."""
        self._exporter: SpanExporter = import_string(path)()
        self._resource = _resource()
        self._scope = InstrumentationScope("rqcron_events", __version__)

    def export(self, spans: Sequence[SpanData]) -> bool:
        """May take as long as the exporter lets it. Raises whatever that raises."""
        if not spans:
            return True
        # As the SDK's own processors do: what the exporter uses may be instrumented, too.
        token = attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        try:
            result = self._exporter.export([self._span(item) for item in spans])
        finally:
            detach(token)
        return result is SpanExportResult.SUCCESS

    def _span(self, item: SpanData) -> ReadableSpan:
        events = []
        if item.exception is not None:
            events = [Event("exception", dict(item.exception), _nanoseconds(item.end))]
        parent = None if item.parent_id is None else _context(item.trace_id, item.parent_id)
        status = Status() if item.error is None else Status(StatusCode.ERROR, item.error)
        return ReadableSpan(
            name=item.name,
            context=_context(item.trace_id, item.span_id),
            parent=parent,
            resource=self._resource,
            attributes=dict(item.attributes),
            events=events,
            links=[Link(_context(*link)) for link in item.links],
            kind=SpanKind[item.kind],
            status=status,
            start_time=_nanoseconds(item.start),
            end_time=_nanoseconds(item.end),
            instrumentation_scope=self._scope,
        )


def _resource() -> Resource:
    found = Resource.create()
    if str(found.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        return found.merge(Resource({SERVICE_NAME: SERVICE}))
    return found


def _context(trace_id: int, span_id: int) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED)
    return SpanContext(trace_id=trace_id, span_id=span_id, is_remote=False, trace_flags=flags)


def _nanoseconds(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1) * 1_000
