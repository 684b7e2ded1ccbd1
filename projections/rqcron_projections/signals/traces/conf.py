"""RQCRON_TRACES, read. Its form is checked by ``rqcron_events.conf``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from django.utils.module_loading import import_string

from rqcron_events.conf import conf

__all__ = ["OTLP", "TraceConf", "problems", "trace_conf"]

OTLP = "opentelemetry.exporter.otlp.proto.http.trace_exporter.OTLPSpanExporter"
MAX_AGE_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceConf:
    """How traces are told."""

    exporter: str = OTLP
    """Dotted path of a class, or of a function that makes one; called without arguments."""
    ratio: float = 1.0
    """How many of all runs are told, 0 to 1."""
    max_age_seconds: float = MAX_AGE_SECONDS
    """What ended longer ago is not told: after an outage, it is history."""


def trace_conf() -> TraceConf:
    given = _given()
    return TraceConf(
        exporter=given.get("exporter", OTLP),
        ratio=float(given.get("ratio", 1)),
        max_age_seconds=float(given.get("max_age_seconds", MAX_AGE_SECONDS)),
    )


def _given() -> Mapping[str, Any]:
    given = conf().traces
    return given if isinstance(given, dict) else {}


def problems() -> list[str]:
    """One sentence for each thing that is missing. The exporter's own settings stay untold."""
    if not conf().traces:
        return []
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        return [
            "RQCRON_TRACES needs OpenTelemetry's SDK: pip install 'rqcron-events[opentelemetry]'."
        ]
    path = _given().get("exporter", OTLP)
    try:
        found = import_string(path)
    except Exception as error:  # whatever the module raises
        remedy = "Give the dotted path of a class such as OTLPSpanExporter, and install its package"
        default = "opentelemetry-exporter-otlp-proto-http" if path == OTLP else "if it has one"
        problem = f"The exporter {path!r} of RQCRON_TRACES cannot be imported"
        return [f"{problem} ({type(error).__name__}). {remedy} ({default})."]
    if not callable(found):
        return [f"The exporter {path!r} of RQCRON_TRACES is no class and no function."]
    return []
