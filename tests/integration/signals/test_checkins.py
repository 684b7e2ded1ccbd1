"""Which events are a begin, an end or nothing for each kind of monitor: told once each, in order."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import UUID

import pytest
from rqcron_projections.models import Checkpoint
from rqcron_projections.signals.checkins import courier, outbox
from rqcron_projections.signals.checkins import follow as follow_module
from rqcron_projections.signals.models import CheckIn, CheckInMonitor

from rqcron_events.core.events import Event, EventType, cron_stream, run_stream
from rqcron_events.ledger import store
from tests.processes import ROOT

from .stand_ins import API_KEY, PING_KEY, TOKEN

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


@pytest.fixture
def options(service):
    """Of one monitor of each kind."""
    return {
        "hc": {
            "kind": "healthchecks",
            "url": f"{service.root}/hc",
            "ping_key": PING_KEY,
            "create": True,
            "checks": {"report": "hc-report"},
        },
        "cronitor": {"kind": "cronitor", "url": service.root, "api_key": API_KEY},
        "snitch": {
            "kind": "snitch",
            "url": f"{service.root}/snitch",
            "checks": {"report": TOKEN},
        },
        "sentry": {"kind": "sentry", "dsn": service.dsn, "checks": {"report": "sentry-report"}},
    }


CHECKS = ("hc-report", "report", TOKEN, "sentry-report")
"""In the order of the page's columns."""


@pytest.fixture
def slot(add, deploy, clock):
    """``slot()``: the next slot of the cron fires."""
    add("report", schedule="* * * * *")
    runner = deploy()

    def fire() -> None:
        clock.advance(MINUTE)
        runner.tick()

    fire.runner = runner
    return fire


def of_the_page() -> dict[str, list[list[str]]]:
    """The table of fates in docs/checkins.md: what each service is told."""
    page = (ROOT / "docs" / "checkins.md").read_text()
    table = page.partition("<!-- fates -->")[2].partition("<!-- end -->")[0]
    rows = [row.split(" | ") for row in re.findall(r"^\| (.+) \|$", table, re.MULTILINE)]
    return {fate: [re.findall("`(.+?)`", cell) for cell in cells] for fate, *cells in rows[1:]}


FATES = {
    "success": ("run_started", "run_succeeded"),
    "exception": ("run_started", ("run_failed", "exception")),
    "timeout": ("run_started", ("run_failed", "timeout")),
    "retry, then success": ("run_started", "attempt_failed", "run_started", "run_succeeded"),
    "worker killed": ("run_started", ("run_failed", "worker_killed")),
    "lost": ("run_started", "run_lost"),
    "declined": ("run_started", "run_declined"),
    "stopped": ("run_started", "run_stopped"),
    "cancelled while it ran": ("run_started", "attempt_failed", "run_cancelled"),
    "cancelled before it began": ("run_cancelled",),
    "skipped": ("slot_skipped",),
    "missed": ("slot_missed",),
}


@pytest.mark.parametrize("fate", FATES)
def test_each_fate_is_told_as_the_page_says(
    checkins, options, slot, service, told, end, clock, fate
):
    expected = of_the_page()
    assert list(expected) == list(FATES)
    checkins(**options)
    slot()
    attempt = 1
    for step in FATES[fate]:
        kind, reason = (step, "") if isinstance(step, str) else step
        if kind.startswith("slot_"):
            decide(clock, kind)
        else:
            happens(end, kind, attempt, reason)
        attempt += kind == "attempt_failed"
        clock.advance(SECOND)
        told()
    told()
    assert [service.states(check) for check in CHECKS] == expected[fate]
    assert not CheckIn.objects.filter(status="waiting").exists()
    runs = {item.run_id for item in service.heard if item.run_id}
    assert len(runs) <= 1
    assert set(service.counts().values()) <= {1}


def happens(end, kind: str, attempt: int = 1, reason: str = "", cron: str = "report") -> UUID:
    """An event of the newest run."""
    event = {"reason": reason, "data": {"error": {"type": "ValueError", "message": "hidden"}}}
    run_id = end(cron)
    store.append_next(
        [
            Event(
                stream=run_stream(run_id), version=0, type=EventType(kind), cron=cron,
                run_id=run_id, attempt=attempt, occurred_at=follow_module.clock.now(),
                actor="worker/test", **(event if reason else {}),
            )
        ]
    )  # fmt: skip
    return run_id


def decide(clock, kind: str) -> None:
    now = clock.now.replace(second=0)
    event = Event(
        stream=cron_stream("report"), version=0, type=EventType(kind), cron="report",
        scheduled_for=now, reason="overlap" if kind == "slot_skipped" else "too_late",
        occurred_at=clock.now,
        data={"first": now.isoformat(), "last": now.isoformat(), "count": 1},
    )  # fmt: skip
    store.append_next([event])


def test_what_is_told_has_the_run_and_no_words_of_people(
    checkins, options, slot, service, told, end, clock
):
    checkins(**options)
    slot()
    run_id = happens(end, "run_started")
    told()
    clock.advance(timedelta(minutes=5))
    happens(end, "run_failed", reason="exception")
    told()
    begin, failed = [item for item in service.heard if item.check == "hc-report"]
    assert (begin.run_id, failed.run_id) == (str(run_id), str(run_id))
    assert failed.text == "report: failed (exception, ValueError)"
    [complete] = [item for item in service.heard if item.state == "fail 1"]
    assert complete.data["metric"] == "duration:300.000"
    payload = service.heard[-1].data
    assert (payload["check_in_id"], payload["duration"]) == (run_id.hex, 300.0)
    assert "hidden" not in "".join(item.text for item in service.heard)


def test_sentry_makes_the_monitor_from_the_definition(
    checkins, options, add, deploy, clock, service, told, end
):
    checkins(sentry=options["sentry"] | {"environment": "staging", "checks": {}})
    add(
        "Report.daily", schedule="30 9 * * 1-5", timezone="America/New_York", jitter=timedelta(seconds=90),
        max_lateness=timedelta(minutes=10), timeout=600, retry=2, max_failures=3,
    )  # fmt: skip
    runner = deploy()
    told()
    clock.advance(timedelta(hours=5, minutes=32))
    runner.tick()
    happens(end, "run_started", cron="Report.daily")
    told()
    [heard] = service.heard
    assert heard.check == "report-daily"
    assert heard.data["environment"] == "staging"
    assert heard.data["monitor_config"] == {
        "schedule": {"type": "crontab", "value": "30 9 * * 1,2,3,4,5"},
        "timezone": "America/New_York",
        "checkin_margin": 12,
        "max_runtime": 30,
        "failure_issue_threshold": 4,
        "recovery_threshold": 1,
    }


def test_a_begin_that_waited_for_the_database_is_not_told_after_its_end(
    checkins, options, slot, service, told, end, clock
):
    checkins(hc=options["hc"])
    slot()
    happens(end, "run_succeeded")
    told()
    run_id = end("report")
    late = Event(
        stream=run_stream(run_id), version=0, type=EventType.RUN_STARTED, cron="report",
        run_id=run_id, attempt=1, occurred_at=clock.now, data={"spooled": "1-0"},
    )  # fmt: skip
    store.append_next([late])
    told()
    assert service.states("hc-report") == ["success"]


def test_history_is_not_told_when_check_ins_begin(
    checkins, options, slot, service, told, end, clock
):
    slot()
    happens(end, "run_started")
    happens(end, "run_succeeded")
    told_before = service.asked
    checkins(hc=options["hc"])
    told()
    assert service.asked == told_before
    slot()
    happens(end, "run_started")
    told()
    assert service.states("hc-report") == ["start"]
    Checkpoint.objects.filter(name="checkins").delete()
    clock.advance(MINUTE)  # an idle log is looked at now and then
    told()
    happens(end, "run_succeeded")
    told()
    assert service.states("hc-report") == ["start", "success"]


def test_what_cannot_be_put_into_the_outbox_is_not_forgotten(
    checkins, options, slot, service, told, end, monkeypatch
):
    checkins(hc=options["hc"])
    told()
    slot()
    happens(end, "run_started")

    def fail(*args: object) -> None:
        raise OSError("killed on purpose")

    with monkeypatch.context() as patched, pytest.raises(OSError):
        patched.setattr(outbox, "put", fail)
        told()
    told()
    assert service.states("hc-report") == ["start"]


def test_two_processes_that_read_the_same_page_tell_once(
    checkins, options, slot, service, told, end, monkeypatch
):
    checkins(hc=options["hc"])
    told()
    slot()
    happens(end, "run_started")
    original, entered = follow_module.move, []

    def overtaken(*args: object) -> bool:
        if not entered:
            entered.append(True)
            follow_module.follow()  # as another process would, between our reading and saving
        return original(*args)

    monkeypatch.setattr(follow_module, "move", overtaken)
    told()
    assert entered
    assert service.states("hc-report") == ["start"]


def test_each_cron_has_its_own_check_by_its_present_name(
    checkins, options, add, deploy, clock, service, told, end
):
    checkins(hc=options["hc"] | {"checks": {}}, cronitor=options["cronitor"] | {"crons": ["b*"]})
    add("A/b c", schedule="* * * * *")
    add("billing", schedule="* * * * *")
    runner = deploy()
    told()
    clock.advance(MINUTE)
    runner.tick()
    for cron in ("A/b c", "billing"):
        end(cron, "run_started")
    told()
    assert sorted((item.check, item.state) for item in service.heard) == [
        ("a-b-c", "start"),
        ("billing", "run"),
        ("billing", "start"),
    ]


def test_a_monitor_that_left_the_settings_is_told_nothing_more(
    checkins, options, slot, service, told, end, clock
):
    checkins(hc=options["hc"], cronitor=options["cronitor"])
    told()
    slot()
    service.answers = [500, 500]
    happens(end, "run_started")
    told()
    checkins(cronitor=options["cronitor"])
    clock.advance(timedelta(days=3, seconds=1))
    told()
    assert CheckIn.objects.filter(monitor="hc").count() == 0
    assert CheckInMonitor.objects.get(name="hc").sent == 0


def test_an_idle_log_costs_two_queries(checkins, options, told, django_assert_num_queries):
    checkins(hc=options["hc"], cronitor=options["cronitor"])
    told()
    with django_assert_num_queries(1):
        follow_module.follow()
    with django_assert_num_queries(1):
        courier.wake()
