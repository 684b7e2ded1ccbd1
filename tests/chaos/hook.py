"""A receiver of alerts and of spans, in a process of its own, that answers as it is told.

``python -m tests.chaos.hook PORT DIRECTORY`` serves; :class:`Hook` starts, strikes and reads it. What it takes
it writes down before it answers.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as otlp

from tests.processes import ROOT
from tests.servers import free_port

__all__ = ["Hook", "Taken"]

MODES = {"well": 0.0, "errors": 0.0, "slow": 2.0, "hangs": 30.0}
"""How it answers, and after how many seconds."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that it took."""

    id: str
    at: float
    """Seconds since the epoch."""
    alerts: list[tuple[str, str, str]]
    """What the rule is about, the cron, the change."""


class Hook:
    """The receiver, as who strikes it sees it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._port}"
        self.answers("well")
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.hook", str(self._port), str(self._directory)],
            cwd=ROOT,
            start_new_session=True,
        )

    def stop(self) -> None:
        """As by kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def answers(self, mode: str) -> None:
        new = self._directory / "mode.new"
        new.write_text(mode)
        new.rename(self._directory / "mode")

    def taken(self) -> list[Taken]:
        return [
            Taken(item["id"], item["at"], [tuple(alert) for alert in item["alerts"]])
            for item in self._read("alerts")
        ]

    def spans(self) -> list[tuple[str, str, str]]:
        """Trace id, span id and name."""
        return [tuple(span) for item in self._read("spans") for span in item["spans"]]

    def _read(self, name: str) -> list[dict[str, Any]]:
        path = self._directory / f"{name}.jsonl"
        if not path.exists():
            return []
        whole = path.read_text().rpartition("\n")[0]  # it may have been killed in a line
        return [json.loads(line) for line in whole.splitlines()]


class _Posted(BaseHTTPRequestHandler):
    directory: Path

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        mode = (self.directory / "mode").read_text()
        time.sleep(MODES[mode])
        if mode in ("well", "slow"):
            self._take(body)
        self.send_response(200 if mode in ("well", "slow") else 500)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _take(self, body: bytes) -> None:
        if self.path == "/v1/traces":
            request = otlp.ExportTraceServiceRequest.FromString(body)
            spans = [
                (span.trace_id.hex(), span.span_id.hex(), span.name)
                for resource in request.resource_spans
                for scope in resource.scope_spans
                for span in scope.spans
            ]
            self._write("spans", {"spans": spans})
            return
        told = json.loads(body)
        alerts = [(item["when"], item["cron"], item["change"]) for item in told["alerts"]]
        self._write(
            "alerts", {"id": self.headers["webhook-id"], "at": time.time(), "alerts": alerts}
        )

    def _write(self, name: str, value: dict[str, Any]) -> None:
        line = (json.dumps(value) + "\n").encode()
        path = self.directory / f"{name}.jsonl"
        place = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(place, line)  # at once: other threads write, too
        os.close(place)

    def log_message(self, *args: Any) -> None:
        pass


def main(port: str, directory: str) -> None:
    _Posted.directory = Path(directory)
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), _Posted)
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
