"""Receivers on loopback that are real servers, and crons whose runs end as a test says."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar
from uuid import UUID, uuid4

import django
import pytest
from aiosmtpd.smtp import SMTP
from django.db import connections
from rqcron_projections import projector
from rqcron_projections.signals.alerts import courier, follow
from rqcron_projections.signals.alerts.conf import alert_conf, secret_bytes
from rqcron_projections.signals.alerts.webhook import signature
from rqcron_projections.signals.checkins import courier as checkin_courier
from rqcron_projections.signals.checkins import follow as checkin_follow
from rqcron_projections.signals.checkins.conf import monitors
from rqcron_projections.signals.models import AlertMessage
from rqcron_projections.signals.traces.conf import trace_conf
from rqcron_projections.signals.traces.spans import SpanData
from rqcron_projections.signals.traces.tell import tell_page

from rqcron_events.core.events import Event, EventType, run_stream
from rqcron_events.ledger import store
from rqcron_events.models import CronEvent
from rqcron_events.testing import FakeClock

from .stand_ins import StandIn

SECRET = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()

S = TypeVar("S", "Hook", StandIn)


class Hook(ThreadingHTTPServer):
    """Keeps what is posted to it, if the signature is right, and answers as it is told."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Posted)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/alerts?token=hidden"
        self.answers: list[int] = []
        """Status codes of the next answers; 200 after them. 0: no answer, ever; 1: it drips."""
        self.headers: dict[str, str] = {}
        self.taken: list[dict[str, Any]] = []
        self.unsigned: list[dict[str, Any]] = []
        self.tried: list[tuple[str, bytes]] = []
        self.last: tuple[dict[str, str], bytes] = ({}, b"")
        """Headers and body."""
        self.released = threading.Event()

    @property
    def alerts(self) -> list[tuple[str, str, str]]:
        return [
            (alert["when"], alert["cron"], alert["change"])
            for body in self.taken
            for alert in body["alerts"]
        ]


class Posted(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if "webhook-id" not in self.headers:  # of Apprise
            self.server.unsigned.append(json.loads(body))
            self.send_response(200)
            self.end_headers()
            return
        ident, at = self.headers["webhook-id"], int(self.headers["webhook-timestamp"])
        right = signature(secret_bytes(SECRET), ident, at, body)
        self.server.tried.append((ident, body))
        self.server.last = ({name.lower(): value for name, value in self.headers.items()}, body)
        status = self.server.answers.pop(0) if self.server.answers else 200
        if self.headers["webhook-signature"] != right:
            status = 401
        if status == 0:
            self.server.released.wait(30)
            return
        if status == 1:
            while not self.server.released.wait(0.05):
                self.wfile.write(b"H")
            return
        if status == 200:
            self.server.taken.append(json.loads(body))
        self.send_response(status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def served(server: S) -> Iterator[S]:
    """In a thread, until the end of the block; what hangs is let go."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    with served(Hook()) as server:
        yield server


class Mailbox:
    """What an SMTP server does with mails; ``answers`` are those to the recipients."""

    def __init__(self) -> None:
        self.mails: list[Any] = []
        self.answers: list[str] = []

    async def handle_RCPT(self, server, session, envelope, address, options) -> str:
        answer = self.answers.pop(0) if self.answers else "250 OK"
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server, session, envelope) -> str:
        self.mails.append(envelope)
        return "250 OK"


@pytest.fixture
def mailbox(settings) -> Iterator[Mailbox]:
    box = Mailbox()
    loop = asyncio.new_event_loop()
    made = loop.create_server(lambda: SMTP(box, loop=loop), "127.0.0.1", 0)
    server = loop.run_until_complete(made)
    port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    smtp = "django.core.mail.backends.smtp.EmailBackend"
    if django.VERSION >= (6, 1):
        options = {"host": "127.0.0.1", "port": port, "timeout": 5}
        settings.MAILERS = {"default": {"BACKEND": smtp, "OPTIONS": options}}
    else:
        settings.EMAIL_BACKEND, settings.EMAIL_HOST = smtp, "127.0.0.1"
        settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = port, 5
    yield box
    loop.call_soon_threadsafe(server.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def alerts(db, settings, monkeypatch) -> Callable[..., None]:
    """``alerts(rules={...}, receivers={...})`` sets RQCRON_ALERTS, and the follower begins."""
    monkeypatch.setattr(follow, "wake", lambda: None)  # its threads do not see this transaction

    def configure(rules: dict[str, Any], receivers: dict[str, Any] | None = None) -> None:
        settings.RQCRON_ALERTS = {
            "rules": rules,
            "receivers": receivers or {"log": {"kind": "log"}},
        }
        follow.follow()

    return configure


@pytest.fixture
def followed(clock: FakeClock) -> Callable[[], list[tuple[str, str, str]]]:
    """Follows the log to its end as a runner's process does; what was put into the outbox."""
    seen: list[int] = []

    def follow_all() -> list[tuple[str, str, str]]:
        follow._looked_at.clear()
        for _ in range(20):
            if not projector.catch_up() + follow.follow():
                break
        rows = AlertMessage.objects.exclude(id__in=seen).order_by("id")
        seen.extend(row.id for row in rows)
        return [(row.kind, row.cron, row.change) for row in rows]

    return follow_all


@pytest.fixture
def delivered() -> Callable[[], int]:
    """Sends what is due, here and now; how many messages were taken."""

    def deliver() -> int:
        return sum(map(courier.deliver, alert_conf().receivers.values()))

    return deliver


@pytest.fixture
def end(clock: FakeClock) -> Callable[..., UUID]:
    """``end("report", "run_failed")``: the newest run of a cron gets these events."""

    def end_run(cron: str, *kinds: str, **data: Any) -> UUID:
        fired = CronEvent.objects.for_cron(cron).of_type("slot_fired").order_by("-id").first()
        for kind in kinds:
            store.append_next(
                [
                    Event(
                        stream=run_stream(fired.run_id),
                        version=0,
                        type=EventType(kind),
                        cron=cron,
                        run_id=fired.run_id,
                        attempt=1,
                        scheduled_for=fired.scheduled_for,
                        occurred_at=clock.now,
                        actor="worker/test",
                        **data,
                    )
                ]
            )
        return fired.run_id

    return end_run


class Spans:
    """What an exporter took, in the order of telling."""

    def __init__(self) -> None:
        self.taken: list[SpanData] = []
        self.answers: list[Any] = []
        """Of the next exports; True after them. An exception is raised."""

    def export(self, spans: Sequence[SpanData]) -> bool:
        answer = self.answers.pop(0) if self.answers else True
        if isinstance(answer, Exception):
            raise answer
        if answer:
            self.taken += spans
        return answer

    def follow(self, events_max: int = 1_000) -> list[str]:
        """Tells the rest of the log; the spans that were told, by name, with what is an error."""
        before = len(self.taken)
        while tell_page(trace_conf(), self.export, events_max):
            pass
        return [shown(span) for span in self.taken[before:]]

    def named(self, word: str) -> SpanData:
        (found,) = (span for span in self.taken if span.name.startswith(f"{word} "))
        return found


def shown(span: SpanData) -> str:
    return span.name.partition(" ")[0] + (" (error)" if span.error is not None else "")


@pytest.fixture
def spans(db, settings) -> Spans:
    """Traces that begin where the log ends now."""
    settings.RQCRON_TRACES = True
    found = Spans()
    found.follow()
    return found


@pytest.fixture
def close_threads() -> Iterator[None]:
    yield
    courier.threads.join(30)
    checkin_courier.threads.join(30)
    connections.close_all()


@pytest.fixture
def service() -> Iterator[StandIn]:
    """All four kinds of monitors."""
    with served(StandIn()) as server:
        yield server


@pytest.fixture
def checkins(db, settings, clock: FakeClock, service: StandIn, monkeypatch) -> Callable[..., None]:
    """``checkins(hc={...})`` sets RQCRON_CHECKINS, and the follower begins."""
    monkeypatch.setattr(
        checkin_follow, "wake", lambda: None
    )  # its threads do not see this transaction
    service.now = lambda: clock.now
    checkin_follow._at_end.clear()
    checkin_follow._tended_at.clear()

    def configure(**monitors: dict[str, Any]) -> None:
        settings.RQCRON_CHECKINS = monitors
        checkin_follow.follow()

    return configure


@pytest.fixture
def told(clock: FakeClock) -> Callable[[], int]:
    """Follows the log to its end as a runner's process does, and sends what is due; how many check-ins were
    taken."""

    def follow_and_send() -> int:
        projector.catch_up()
        checkin_follow.follow()
        return sum(map(checkin_courier.deliver, monitors().values()))

    return follow_and_send


@pytest.fixture
def sent(clock: FakeClock) -> Callable[[], int]:
    """The same, for crons that no projection knows."""

    def follow_and_send() -> int:
        checkin_follow.follow()
        return sum(map(checkin_courier.deliver, monitors().values()))

    return follow_and_send


@pytest.fixture
def runs(db, clock: FakeClock) -> Callable[..., list[UUID]]:
    """``runs("a", "b", outcome="run_failed")``: a run of each of these crons starts, and ends so after some
    seconds; "": it does not end. Of crons that nobody registered."""

    def make(*crons: str, outcome: str = "run_succeeded", seconds: int = 0) -> list[UUID]:
        made = [(cron, uuid4()) for cron in crons]
        for version, kind in enumerate(("run_started", outcome), 1):
            if kind:
                store.append(
                    [
                        Event(
                            stream=run_stream(run_id), version=version, type=EventType(kind),
                            cron=cron, run_id=run_id, attempt=1, occurred_at=clock.now,
                        )
                        for cron, run_id in made
                    ]
                )  # fmt: skip
            if version == 1:
                clock.advance(timedelta(seconds=seconds))
        return [run_id for _, run_id in made]

    return make


@pytest.fixture
def ends(clock: FakeClock) -> Callable[..., None]:
    """``ends("a", run_id, "run_failed")``"""

    def end_run(cron: str, run_id: UUID, kind: str) -> None:
        ended = Event(
            stream=run_stream(run_id), version=0, type=EventType(kind), cron=cron, run_id=run_id,
            attempt=1, occurred_at=clock.now,
        )  # fmt: skip
        store.append_next([ended])

    return end_run
