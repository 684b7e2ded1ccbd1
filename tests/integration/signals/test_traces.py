"""Spans, told from the log: which, with what in them, and that none is lost or told with other ids."""

from __future__ import annotations

import logging
import sys
import threading
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from django.core.checks import run_checks
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_rq import get_worker
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from rq import SimpleWorker
from rqcron_projections.models import Checkpoint
from rqcron_projections.projector import catch_up
from rqcron_projections.signals.traces import tell, teller
from rqcron_projections.signals.traces.conf import problems
from rqcron_projections.signals.traces.export import Exporter
from rqcron_projections.signals.traces.tell import NotTaken

from rqcron_events import current_run
from rqcron_events.core.events import Event, EventType, run_stream
from rqcron_events.core.events.trace_ids import attempt_span_id, decision_span_id, run_span_id
from rqcron_events.execution.work_horse.trace_context import in_trace
from rqcron_events.ledger import store
from rqcron_events.models import CronEvent
from rqcron_events.operations import controls

from .conftest import shown

MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
ERROR = {"type": "shop.OutOfPaper", "message": "tray 2", "traceback": "Traceback: tray 2"}
EXPORTER = "tests.integration.signals.test_traces.made"

memory = InMemorySpanExporter()


def made() -> InMemorySpanExporter:
    return memory


@pytest.fixture
def ends(deploy, add, clock, end):
    """``ends("run_failed")``: the next slot fires, and its run gets these events, a second each."""
    add("report", schedule="* * * * *", queue="high")
    runner = deploy()
    catch_up()

    def slot(*kinds: str, **data) -> UUID:
        clock.now = clock.now.replace(second=30) + MINUTE
        runner.tick()
        run_id = None
        for kind in kinds or ("run_started", "run_succeeded"):
            clock.advance(SECOND)
            run_id = end("report", kind, **(data if kind != "run_started" else {}))
        return run_id or CronEvent.objects.of_type("slot_fired").last().run_id

    return slot


def test_a_run_has_a_decision_a_run_and_an_attempt(ends, spans, clock):
    run_id = ends("run_started", "run_succeeded")
    assert spans.follow() == ["fire", "run", "attempt"]
    fire, run, attempt = spans.taken
    assert {span.trace_id for span in spans.taken} == {run_id.int}
    assert (fire.span_id, fire.parent_id) == (decision_span_id(run_id), None)
    assert (run.span_id, run.parent_id) == (run_span_id(run_id), fire.span_id)
    assert run.links == ((run_id.int, fire.span_id),)
    assert (attempt.span_id, attempt.parent_id) == (attempt_span_id(run_id, 1), run.span_id)
    assert [span.kind for span in spans.taken] == ["PRODUCER", "CONSUMER", "INTERNAL"]
    started = clock.now - SECOND
    assert (run.start, run.end) == (attempt.start, attempt.end) == (started, clock.now)
    assert fire.start <= fire.end <= run.start
    slot = started.replace(second=0).isoformat()
    common = {
        "messaging.system": "rq",
        "messaging.destination.name": "high",
        "messaging.message.id": f"cron-{run_id}",
        "faas.trigger": "timer",
        "faas.cron": "* * * * *",
        "rqcron.cron": "report",
        "rqcron.run_id": str(run_id),
        "rqcron.slot": slot,
        "rqcron.trigger": "slot",
    }
    assert fire.attributes == common | {
        "messaging.operation.name": "fire",
        "messaging.operation.type": "send",
        "rqcron.actor": fire.attributes["rqcron.actor"],
        "rqcron.lateness_seconds": 30.0,
    }
    assert run.attributes == common | {
        "messaging.operation.name": "run",
        "messaging.operation.type": "process",
        "rqcron.outcome": "succeeded",
        "rqcron.attempts": 1,
    }


def test_a_failed_attempt_has_what_was_raised_and_the_next_is_beside_it(ends, spans, end, clock):
    run_id = ends("run_started", "attempt_failed", data={"error": ERROR}, reason="exception")
    assert spans.follow() == []  # it goes on
    for kind in ("run_started", "run_succeeded"):
        clock.advance(SECOND)
        end("report", kind)
    # Both starts of ``end`` say that they are the first.
    assert spans.follow() == ["fire", "run", "attempt (error)", "attempt"]
    failed = spans.taken[2]
    assert failed.error == "exception: shop.OutOfPaper: tray 2"
    assert failed.attributes["error.type"] == "shop.OutOfPaper"
    assert failed.exception == {
        "exception.type": "shop.OutOfPaper",
        "exception.message": "tray 2",
        "exception.stacktrace": "Traceback: tray 2",
    }
    assert spans.taken[3].parent_id == failed.parent_id == run_span_id(run_id)
    assert "error.type" not in spans.named("run").attributes


def test_a_killed_worker_ended_when_rq_says_and_not_when_it_was_found(ends, spans, clock):
    ends(
        "run_started",
        "run_failed",
        reason="worker_killed",
        data={"found": "RQ says failed", "duration_seconds": 0.25},
    )
    spans.follow()
    run, attempt = spans.named("run"), spans.named("attempt")
    assert attempt.end - attempt.start == run.end - run.start == timedelta(seconds=0.25)
    assert run.attributes["error.type"] == "worker_killed"
    assert attempt.attributes["rqcron.found"] == "RQ says failed"


def test_an_attempt_whose_end_nobody_recorded_has_a_span_until_the_next_one_began(
    ends, spans, clock
):
    """Its worker died, and the database was away when the next one began."""
    run_id = ends("run_started")
    started = store.read_stream(run_stream(run_id))[-1]
    clock.advance(SECOND)
    again = replace(started, id=None, version=0, attempt=2, occurred_at=clock.now)
    store.append_next([again])
    clock.advance(SECOND)
    store.append_next([replace(again, type=EventType.RUN_SUCCEEDED, occurred_at=clock.now)])
    assert spans.follow() == ["fire", "run", "attempt (error)", "attempt"]
    first, second = spans.taken[2:]
    assert [span.attributes["rqcron.attempt"] for span in (first, second)] == [1, 2]
    assert (first.start, first.end) == (started.occurred_at, second.start)
    assert first.attributes["rqcron.reason"] == "worker_killed"
    assert second.end == clock.now


def test_slots_that_did_not_fire_have_a_span_in_the_trace_of_their_run(ends, spans, clock, deploy):
    ends()
    controls.pause("report", reason="holidays", by="ann")
    clock.advance(MINUTE)
    deploy()
    assert spans.follow() == ["fire", "run", "attempt", "skip"]
    skip = spans.named("skip")
    assert skip.attributes["rqcron.reason"] == "paused"
    assert skip.attributes["rqcron.slots"] == 1


def test_a_rerun_is_linked_to_the_run_that_it_repeats(ends, spans, end, deploy):
    first = ends()
    rerun = controls.rerun(first, reason="the template was wrong", by="ann")
    deploy()
    request = CronEvent.objects.of_type("run_requested").get()
    event = Event(
        stream=run_stream(request.run_id), version=0, type=EventType.RUN_CANCELLED, cron="report",
        run_id=request.run_id, occurred_at=request.occurred_at,
    )  # fmt: skip
    store.append_next([event])
    assert spans.follow() == ["fire", "run", "attempt", "request", "run"]
    request = spans.named("request")
    assert rerun and request.links == ((first.int, run_span_id(first)),)
    assert request.attributes["faas.trigger"] == "other"
    assert request.attributes["rqcron.actor"] == "ann"


def test_the_beginning_of_a_run_may_lie_pages_before_its_end(ends, spans):
    for _ in range(3):
        ends()
    assert spans.follow(events_max=2) == ["fire", "run", "attempt"] * 3


def test_what_the_exporter_does_not_take_is_told_again_with_the_same_ids(ends, spans):
    ends()
    spans.answers = [False, ConnectionError("https://collector/?token=hidden")]
    for text in ("did not take them", "raised ConnectionError"):
        with pytest.raises(NotTaken, match=text) as error:
            spans.follow()
        assert "hidden" not in str(error.value)
    assert spans.follow() == ["fire", "run", "attempt"]
    assert spans.follow() == []


def test_a_process_that_dies_before_it_notes_the_position_tells_the_same_again(
    ends, spans, monkeypatch
):
    ends()
    with monkeypatch.context() as patched, pytest.raises(OSError):
        patched.setattr(
            "rqcron_projections.signals.traces.tell.LogMark.of", killed
        )  # after the export, before the position
        spans.follow()
    assert len(spans.taken) == 3
    spans.follow()
    assert spans.taken[3:] == spans.taken[:3]


def killed(*_: object) -> None:
    raise OSError("on purpose")


def test_two_processes_that_tell_the_same_page_move_the_position_once(ends, spans):
    ends()
    plain = spans.export

    def overtaken(told) -> bool:
        spans.export = plain
        spans.follow()
        return plain(told)

    spans.export = overtaken
    spans.follow()
    newest = CronEvent.objects.last().id
    assert Checkpoint.objects.get(name="traces").position == newest
    assert spans.taken[3:] == spans.taken[:3]


def test_traces_begin_where_the_log_ends(ends, spans):
    ends()
    Checkpoint.objects.filter(name="traces").delete()
    assert spans.follow() == []
    ends()
    assert spans.follow() == ["fire", "run", "attempt"]


def test_after_the_log_went_back_they_begin_anew(ends, spans, caplog):
    ends()
    Checkpoint.objects.filter(name="traces").update(position=10**9)
    with caplog.at_level(logging.INFO):
        assert spans.follow() == []
    assert [record.action for record in caplog.records] == ["traces_begin"]
    ends()
    assert spans.follow() == ["fire", "run", "attempt"]


def test_history_is_not_told(ends, spans, settings, clock, caplog):
    settings.RQCRON_TRACES = {"max_age_seconds": 60}
    ends()
    clock.now += timedelta(days=400 * 365)  # recorded_at is the database's
    assert spans.follow() == []
    assert [record.action for record in caplog.records] == ["traces_too_old"]


def test_a_ratio_tells_some_runs_whole(ends, spans, settings):
    settings.RQCRON_TRACES = {"ratio": 0.5}
    for _ in range(40):
        ends()
    told = spans.follow()
    assert 0 < len(told) < 120
    assert told == ["fire", "run", "attempt"] * (len(told) // 3)
    settings.RQCRON_TRACES = {"ratio": 0}
    ends()
    assert spans.follow() == []


def test_an_event_that_cannot_be_told_stops_no_other(ends, spans, caplog, monkeypatch):
    bad = ends()
    good = ends()
    plain = tell.spans_of_run

    def fails(events, cron):
        if events[0].run_id == bad:
            raise ValueError("odd")
        return plain(events, cron)

    monkeypatch.setattr(tell, "spans_of_run", fails)
    assert spans.follow() == ["fire", "run", "attempt"]
    assert {span.trace_id for span in spans.taken} == {good.int}
    assert [record.action for record in caplog.records] == ["trace_not_made"]


# OpenTelemetry


def test_the_sdk_gets_spans_with_ids_times_links_and_what_was_raised(ends, spans, monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    run_id = ends("run_started", "run_failed", data={"error": ERROR}, reason="exception")
    spans.follow()
    memory.clear()
    assert Exporter(EXPORTER).export(spans.taken)
    fire, run, attempt = memory.get_finished_spans()
    assert run.context.trace_id == run_id.int
    assert run.context.trace_flags.sampled
    assert run.parent.span_id == fire.context.span_id == run.links[0].context.span_id
    assert fire.parent is None
    assert run.kind is trace.SpanKind.CONSUMER
    assert run.status.status_code is trace.StatusCode.ERROR
    assert run.resource.attributes["service.name"] == "shop"
    assert run.end_time - run.start_time == 1_000_000_000
    (event,) = attempt.events
    assert (event.name, event.timestamp) == ("exception", attempt.end_time)
    assert event.attributes["exception.stacktrace"] == "Traceback: tray 2"
    assert fire.status.is_unset


def test_without_a_name_the_service_is_called_after_the_package(ends, spans, monkeypatch):
    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
    ends()
    spans.follow()
    memory.clear()
    Exporter(EXPORTER).export(spans.taken)
    assert memory.get_finished_spans()[0].resource.attributes["service.name"] == "rqcron-events"


def test_the_function_goes_on_with_the_trace_of_its_run(
    add, deploy, clock, spans, settings, redis_connection
):
    own = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(own))
    headers = []

    def work() -> None:
        headers.append(current_run().traceparent)
        with provider.get_tracer("shop").start_as_current_span("render"):
            pass

    add("report", work, schedule="* * * * *")
    runner = deploy()
    clock.advance(MINUTE)
    runner.tick()  # enqueues in bulk
    get_worker("default", worker_class=SimpleWorker).work(burst=True)
    (rendered,) = own.get_finished_spans()
    assert spans.follow() == ["fire", "run", "attempt"]
    attempt = spans.named("attempt")
    assert rendered.context.trace_id == attempt.trace_id
    assert rendered.parent.span_id == attempt.span_id
    assert headers == [f"00-{attempt.trace_id:032x}-{attempt.span_id:016x}-01"]
    assert not trace.get_current_span().get_span_context().is_valid


@pytest.mark.parametrize("ratio", [None, 0])
def test_a_run_that_is_not_told_has_no_trace(add, deploy, clock, settings, redis_connection, ratio):
    settings.RQCRON_TRACES = False if ratio is None else {"ratio": ratio}
    found = []

    def work() -> None:
        found.append(trace.get_current_span().get_span_context())
        found.append(current_run().traceparent)

    add("report", work, schedule="* * * * *")
    runner = deploy()
    clock.advance(MINUTE)
    runner.tick()
    get_worker("default", worker_class=SimpleWorker).work(burst=True)
    context, header = found
    assert not context.trace_flags.sampled
    assert context.is_valid == (ratio == 0)
    assert header[-3:] == ("" if ratio is None else "-00")


def test_without_opentelemetry_functions_run_and_a_check_says_what_is_missing(
    settings, monkeypatch
):
    settings.RQCRON_TRACES = True
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    assert problems() == [
        "RQCRON_TRACES needs OpenTelemetry's SDK: pip install 'rqcron-events[opentelemetry]'."
    ]
    with in_trace(UUID(int=7), 1):
        pass


# Who tells


class Hanging(InMemorySpanExporter):
    """Takes spans once it is released."""

    entered, released = threading.Event(), threading.Event()

    def export(self, spans) -> SpanExportResult:
        self.entered.set()
        assert self.released.wait(30)
        return super().export(spans)


hanging = Hanging()


def make_hanging() -> Hanging:
    return hanging


@pytest.mark.django_db(transaction=True)
def test_an_exporter_that_hangs_delays_nobody(ends, settings):
    settings.RQCRON_TRACES = {"exporter": f"{__name__}.make_hanging"}
    teller._exporter.cache_clear()
    try:
        teller.follow()
        while not Checkpoint.objects.filter(name="traces").exists():
            assert not hanging.released.wait(0.01)
        ends()
        newest = CronEvent.objects.last().id
        assert teller.follow() == 0
        assert hanging.entered.wait(30)
        assert teller.follow() == 0
        assert teller.position() < newest
    finally:
        hanging.released.set()
        teller.flush()
        teller._exporter.cache_clear()
    assert len(hanging.get_finished_spans()) == 3
    assert teller.position() == newest
    assert not any(thread.is_alive() for thread in teller._tellers)


def test_an_idle_log_costs_one_query(ends, spans, monkeypatch, clock):
    monkeypatch.setattr(teller, "_exporter", lambda path: spans)
    thread = teller.Teller()
    ends()
    thread._tell_all()
    with CaptureQueriesContext(connection) as asked:
        thread._tell_all()
    assert len(asked) == 1
    ends()
    thread._tell_all()
    assert [shown(span) for span in spans.taken] == ["fire", "run", "attempt"] * 2


def test_after_a_refusal_it_waits_longer_each_time_and_hands_over_less(monkeypatch, clock, caplog):
    told = []

    def refused(conf, export, events_max):
        told.append(events_max)
        raise NotTaken("the exporter did not take them")

    monkeypatch.setattr(teller, "tell_page", refused)
    monkeypatch.setattr(teller.store, "newest", lambda: None)
    monkeypatch.setattr(teller, "_exporter", lambda path: Exporter(EXPORTER))
    thread, waits = teller.Teller(), []
    for _ in range(9):
        now = teller.clock.monotonic_seconds()
        thread._tell_all()
        waits.append(round(thread._next_try - now))
        thread._tell_all()  # too early
        thread._next_try = 0.0
    assert waits == [2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert told == [1000, 500, 250, 125, 62, 31, 15, 10, 10]
    assert [r.action for r in caplog.records if r.levelno >= logging.WARNING] == ["traces_wait"]


# Settings


@pytest.mark.django_db  # a check of Django's asks SQLite whether it has JSON
@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("yes", "RQCRON_TRACES is 'yes'"),
        ({"rate": 1}, "RQCRON_TRACES has 'rate'. Known: exporter, max_age_seconds, ratio"),
        ({"ratio": 2}, "has 2 for 'ratio'. It must be from 0 to 1"),
        ({"ratio": True}, "has True for 'ratio'. Give a number"),
        ({"exporter": "nowhere.Exporter"}, "The exporter 'nowhere.Exporter' of RQCRON_TRACES"),
        ({"exporter": 7}, "The exporter 7 of RQCRON_TRACES"),
        ({"exporter": f"{__name__}.SECOND"}, "is no class and no function"),
    ],
)
def test_a_wrong_setting_is_named(settings, given, text):
    settings.RQCRON_TRACES = given
    (found,) = (problem for problem in run_checks() if "RQCRON_TRACES" in problem.msg)
    assert text in found.msg


def test_right_settings_have_no_problem(settings):
    for given in (False, True, {}, {"ratio": 0.1, "max_age_seconds": 3600, "exporter": EXPORTER}):
        settings.RQCRON_TRACES = given
        assert problems() == []
