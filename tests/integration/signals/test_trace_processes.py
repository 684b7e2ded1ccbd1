"""Traces over OTLP from real processes: a collector that is down, and a runner that is killed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID, uuid4

import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as otlp
from rqcron_projections.models import Checkpoint

from rqcron_events import clock
from rqcron_events.core.events import Event, EventType, run_stream
from rqcron_events.core.events.trace_ids import attempt_span_id, run_span_id
from rqcron_events.ledger import store
from rqcron_events.models import CronEvent


class Collector(ThreadingHTTPServer):
    """OTLP over HTTP, as its specification has it, as far as traces need it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Posted)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.is_away = False
        self.refused = 0
        self.spans: list[Any] = []
        self.services: set[str] = set()


class Posted(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        right = (self.path, self.headers["Content-Type"]) == (
            "/v1/traces",
            "application/x-protobuf",
        )
        status = 400 if not right else 500 if self.server.is_away else 200
        if status == 200:
            request = otlp.ExportTraceServiceRequest.FromString(body)
            for resource in request.resource_spans:
                names = {item.key: item.value.string_value for item in resource.resource.attributes}
                self.server.services.add(names["service.name"])
                for scope in resource.scope_spans:
                    self.server.spans += scope.spans
        self.server.refused += status == 500
        answer = otlp.ExportTraceServiceResponse().SerializeToString()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def collector(project) -> Iterator[Collector]:
    server = Collector()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    project.environment |= {
        "OTEL_EXPORTER_OTLP_ENDPOINT": server.url,
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        "OTEL_SERVICE_NAME": "shop",
        "RQCRON_TEST_LEASE_SECONDS": "2",
        "TEST_TRACES": json.dumps(True),
    }
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def position() -> int:
    return Checkpoint.objects.get(name="traces").position


def ended(*kinds: EventType) -> UUID:
    """A run with these events, as a worker writes them."""
    run_id = uuid4()
    events = [
        Event(
            stream=run_stream(run_id), version=0, type=kind, cron="gone_report", run_id=run_id, attempt=1,
            occurred_at=clock.now(),
        )
        for kind in kinds
    ]  # fmt: skip
    store.append_next(events)
    return run_id


def test_no_run_is_lost_while_the_collector_is_down_and_the_runner_is_killed(project, collector):
    runner = project.start("cron_run")
    project.wait_until(Checkpoint.objects.filter(name="traces").exists)
    collector.is_away = True
    runs = [ended(EventType.RUN_STARTED, EventType.RUN_FAILED)]
    project.wait_until(lambda: collector.refused)
    runs.append(ended(EventType.RUN_STARTED, EventType.RUN_SUCCEEDED))
    assert position() < CronEvent.objects.for_run(runs[0]).last().id
    runner.kill_session()
    collector.is_away = False
    project.start("cron_run")
    newest = CronEvent.objects.last().id
    project.wait_until(lambda: position() >= newest)

    for run_id in runs:
        told = [span for span in collector.spans if span.trace_id == run_id.bytes]
        assert sorted((span.name, span.span_id) for span in told) == [
            ("attempt gone_report", attempt_span_id(run_id, 1).to_bytes(8)),
            ("run gone_report", run_span_id(run_id).to_bytes(8)),
        ]
    assert collector.services == {"shop"}


def test_who_decides_once_and_ends_tells_before_that(project, collector):
    assert project.run("cron_run", "--once").returncode == 0  # traces begin
    run_id = ended(EventType.RUN_STARTED, EventType.RUN_SUCCEEDED)
    assert project.run("cron_run", "--once").returncode == 0
    told = {span.name for span in collector.spans if span.trace_id == run_id.bytes}
    assert told == {"run gone_report", "attempt gone_report"}
