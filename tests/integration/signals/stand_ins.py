"""Servers on loopback that speak the monitors' protocols as their public documentation says, and count.

Healthchecks: https://healthchecks.io/docs/http_api/. Cronitor: https://cronitor.io/docs/telemetry-api.
Dead Man's Snitch: https://deadmanssnitch.com/docs. Sentry:
https://develop.sentry.dev/sdk/telemetry/check-ins/.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import UUID

from sentry_sdk.envelope import Envelope

PING_KEY = "hidden-ping-key"
API_KEY = "hidden-api-key"
TOKEN = "hidden-token"
PUBLIC_KEY = "hidden0public0key"
PROJECT = "4711"


class Heard(NamedTuple):
    """One check-in that was taken."""

    check: str
    state: str
    run_id: str
    text: str
    data: dict[str, Any]


class StandIn(ThreadingHTTPServer):
    """All four services at one port. ``answers`` are status codes of the next requests, in place of what
    the service would say: 0 never answers, 1 drips, 2 takes it and closes the connection without a word,
    3 takes it and never says so."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Asked)
        self.root = f"http://127.0.0.1:{self.server_address[1]}"
        self.answers: list[int] = []
        self.answers_to: dict[str, list[int]] = {}
        """The same, for one check."""
        self.headers: dict[str, str] = {}
        """Sent with each of ``answers``."""
        self.asked = 0
        """Requests, those that were not taken included."""
        self.heard: list[Heard] = []
        self.checks: set[str] = set()
        """UUIDs and slugs that Healthchecks and Sentry know."""
        self.limits: dict[str, int] = {}
        """Check-ins of one check that a service takes in a minute, by service."""
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.at_once = self.at_once_max = 0
        self.together = 1
        """So many requests wait for each other, once."""
        self.released = threading.Event()
        self._taken: defaultdict[str, list[datetime]] = defaultdict(list)
        self._lock = threading.Condition()

    @property
    def dsn(self) -> str:
        return f"{self.root.replace('//', f'//{PUBLIC_KEY}@')}/{PROJECT}"

    def states(self, check: str) -> list[str]:
        return [item.state for item in self.heard if item.check == check]

    def counts(self) -> Counter[tuple[str, str, str]]:
        """How often each check was told each state of each run."""
        return Counter((item.check, item.run_id, item.state) for item in self.heard)

    def take(self, service: str, heard: Heard) -> bool:
        """False when it is above the limit of its check."""
        with self._lock:
            now, times = self.now(), self._taken[heard.check]
            times[:] = [at for at in times if at > now - timedelta(minutes=1)]
            if len(times) >= self.limits.get(service, 1_000_000):
                return False
            times.append(now)
            self.heard.append(heard)
            return True

    def begins(self, many: int) -> None:
        with self._lock:
            self.asked += many > 0
            self.at_once += many
            self.at_once_max = max(self.at_once_max, self.at_once)
            self._lock.notify_all()
            if many > 0:
                self._lock.wait_for(lambda: self.at_once_max >= self.together, 10)


class Asked(BaseHTTPRequestHandler):
    server: StandIn
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        server = self.server
        server.begins(1)
        try:
            status = self.answer_given()
            if status == 0:
                server.released.wait(30)
                self.close_connection = True
            elif status == 1:
                while not server.released.wait(0.05):
                    self.wfile.write(b"H")
            elif status in (2, 3):
                self.understand(body)
                if status == 3:
                    server.released.wait(30)
                self.close_connection = True
            elif status is not None:
                self.say(status, "no", server.headers)
            else:
                self.say(*self.understand(body))
        finally:
            server.begins(-1)

    def answer_given(self) -> int | None:
        """What the test says that the service answers."""
        for check, answers in self.server.answers_to.items():
            if answers and check in urlsplit(self.path).path.split("/"):
                return answers.pop(0)
        return self.server.answers.pop(0) if self.server.answers else None

    def say(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def understand(self, body: bytes) -> tuple[int, str]:
        parts = urlsplit(self.path)
        path = [unquote(part) for part in parts.path.strip("/").split("/")]
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        match path:
            case ["hc", *rest]:
                return self.healthchecks(rest, query, body.decode())
            case ["p", key, check]:
                return self.cronitor(key, check, query)
            case ["snitch", token]:
                return self.snitch(token, query)
            case ["api", project, "envelope"]:
                return self.sentry(project, body)
        return 404, "not found"

    def healthchecks(self, rest: list[str], query: dict[str, str], text: str) -> tuple[int, str]:
        by_uuid = bool(re.fullmatch(r"[0-9a-f]{8}-.{27}", rest[0]))
        if not by_uuid and (rest[0] != PING_KEY or not re.fullmatch("[a-z0-9_-]+", rest[1])):
            return 404, "not found"
        check, state = rest[0 if by_uuid else 1], [*rest, "success"][1 if by_uuid else 2]
        if state not in ("start", "success", "fail", "log") and not 0 <= int(state) <= 255:
            return 400, "invalid url format"
        status = 200
        if check not in self.server.checks:
            if by_uuid:
                return 200, "OK (not found)"
            if query.get("create") != "1":
                return 404, "not found"
            self.server.checks.add(check)
            status = 201
        rid = str(UUID(query["rid"])) if "rid" in query else ""
        assert rid == query.get("rid", ""), "the canonical form"
        if self.server.take("healthchecks", Heard(check, state, rid, text, query)):
            return status, "Created" if status == 201 else "OK"
        return (200, "OK (rate limited)") if by_uuid else (429, "rate limit exceeded")

    def cronitor(self, key: str, check: str, query: dict[str, str]) -> tuple[int, str]:
        if key != API_KEY:
            return 403, "no"
        state = query["state"]
        assert state in ("run", "complete", "fail", "ok")
        assert len(query.get("message", "")) <= 2_000
        if "status_code" in query:
            state = f"{state} {query['status_code']}"
        heard = Heard(check, state, query.get("series", ""), query.get("message", ""), query)
        return (200, "OK") if self.server.take("cronitor", heard) else (429, "slow down")

    def snitch(self, token: str, query: dict[str, str]) -> tuple[int, str]:
        if not token.startswith(TOKEN):
            return 404, "not found"
        state = f"s={query['s']}" if query.get("s") not in (None, "", "0") else "ok"
        heard = Heard(token, state, "", query.get("m", ""), query)
        return (202, "Got it, thanks!") if self.server.take("snitch", heard) else (429, "no")

    def sentry(self, project: str, body: bytes) -> tuple[int, str]:
        if project != PROJECT or f"sentry_key={PUBLIC_KEY}" not in self.headers["X-Sentry-Auth"]:
            return 401, "no"
        [item] = Envelope.deserialize(body).items
        assert item.type == "check_in"
        payload = json.loads(item.get_bytes())
        assert payload["status"] in ("in_progress", "ok", "error")
        check = payload["monitor_slug"]
        assert re.fullmatch("[a-z0-9_-]{1,50}", check)
        if "monitor_config" in payload:
            assert payload["monitor_config"]["schedule"]["type"] in ("crontab", "interval")
            self.server.checks.add(check)
        heard = Heard(check, payload["status"], str(UUID(payload["check_in_id"])), "", payload)
        self.server.take("sentry", heard)  # Sentry drops what is above its limit without a word
        return 200, '{"id": "1"}'

    def log_message(self, *args: Any) -> None:
        pass
