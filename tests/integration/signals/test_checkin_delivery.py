"""Monitors that are slow, dead, wrong or strict: nothing is lost, overtaken, or told twice in the normal case."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from rqcron_projections.signals import http
from rqcron_projections.signals.checkins import courier, outbox, watch
from rqcron_projections.signals.checkins.conf import monitors
from rqcron_projections.signals.models import CheckIn, CheckInMonitor

from .stand_ins import API_KEY, PING_KEY

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
UUID_CHECK = str(UUID(int=7))


@pytest.fixture
def hc(checkins, service):
    """A project in Healthchecks, with a monitor for all crons."""

    def configure(**options) -> None:
        given = {"kind": "healthchecks", "url": f"{service.root}/hc", "ping_key": PING_KEY}
        checkins(hc={**given, "create": True, **options})

    configure()
    return configure


@pytest.fixture
def runs(add, deploy, clock, end, told):
    """``runs("a", "b")``: slots of these crons fire, and their runs start; they end with ``run_failed`` and
    so on."""
    for name in "abcdefghijkl":
        add(name, schedule="* * * * *")
    runner = deploy()
    told()

    def make(*names: str, outcome: str = "run_succeeded") -> None:
        clock.advance(MINUTE)
        runner.tick()
        for name in names:
            end(name, *(("run_started", outcome) if outcome else ("run_started",)))

    return make


def waiting() -> int:
    return CheckIn.objects.filter(status="waiting").count()


def test_a_monitor_that_fails_for_minutes_hears_all_in_order_and_once(
    hc, runs, service, told, clock, end
):
    service.answers = [500, 503, 500, 502]
    runs("a", outcome="")
    assert told() == 0
    end("a", "run_succeeded")
    for _ in range(12):
        told()
        clock.advance(timedelta(seconds=5))
    assert service.states("a") == ["start", "success"]
    assert service.asked == 6
    assert set(service.counts().values()) == {1}


def test_what_one_check_does_not_take_holds_up_no_other(hc, runs, service, told, clock, end):
    hc(create=False)
    service.checks = {"b"}
    runs("a", "b")
    told()
    told()
    assert service.states("b") == ["start", "success"]
    assert waiting() == 2  # of a, which the service does not know
    row = CheckIn.objects.filter(status="waiting").first()
    assert (row.cron, row.answer) == ("a", "HTTP 404")
    service.checks.add("a")
    clock.advance(MINUTE)
    told()
    assert service.states("a") == ["start", "success"]


def test_a_check_gets_the_time_that_it_asks_for(hc, runs, service, told, clock):
    service.answers, service.headers = [429], {"Retry-After": "90"}
    runs("a", "b")
    told()
    asked = service.asked
    assert [service.states(name) for name in "ab"] == [[], ["start", "success"]]
    clock.advance(timedelta(seconds=89))
    told()
    assert service.asked == asked
    clock.advance(SECOND)
    told()
    assert service.states("a") == ["start", "success"]


@pytest.mark.parametrize("known", [True, False], ids=["rate limited", "not found"])
def test_a_uuid_that_is_answered_ok_and_not_taken_is_tried_again(
    hc, runs, service, told, clock, known
):
    hc(checks={"a": UUID_CHECK}, per_minute=100)
    service.limits["healthchecks"] = 1
    service.checks = {UUID_CHECK} if known else set()
    runs("a")
    told()
    assert waiting() == (1 if known else 2)
    service.checks.add(UUID_CHECK)
    service.limits.clear()
    clock.advance(MINUTE)
    told()
    assert service.states(UUID_CHECK) == ["start", "success"]


def test_sentry_leaves_all_crons_alone_while_it_asks_for_that(checkins, runs, service, told, clock):
    checkins(sentry={"kind": "sentry", "dsn": service.dsn})
    service.answers = [429]
    service.headers = {"X-Sentry-Rate-Limits": "60:error:organization, 120:monitor;span:key"}
    runs("a")
    told()
    asked = service.asked
    assert asked == 1
    clock.advance(timedelta(seconds=59))
    runs("b", "c")  # a minute later
    told()
    assert service.asked == asked
    clock.advance(timedelta(seconds=2))
    told()
    assert [service.states(name) for name in "abc"] == [["in_progress", "ok"]] * 3


@pytest.mark.parametrize("kind", ["healthchecks", "sentry"])
def test_no_check_hears_more_than_its_limit_and_each_begin_has_its_end(
    checkins, add, deploy, clock, end, service, told, kind
):
    options = {
        "healthchecks": {"url": f"{service.root}/hc", "ping_key": PING_KEY, "create": True},
        "sentry": {"dsn": service.dsn},
    }
    checkins(m={"kind": kind, **options[kind]})
    service.limits = {"healthchecks": 5, "sentry": 6}
    add("often", schedule="* * * * *")
    runner = deploy()
    told()
    clock.advance(MINUTE)
    runner.tick()
    verdicts = {"run_succeeded": "success", "run_failed": "fail"}
    if kind == "sentry":
        verdicts = {"run_succeeded": "ok", "run_failed": "error"}
    for number in range(30):  # a run each ten seconds: twelve check-ins in a minute
        outcome = "run_failed" if number in (7, 8, 20) else "run_succeeded"
        run(end, clock, outcome)
        clock.advance(timedelta(seconds=9))
        told()
    last_failed = len([item for item in service.heard if item.state == verdicts["run_failed"]])
    clock.advance(MINUTE)
    told()
    assert service.asked == len(service.heard)  # nothing was above the limit
    by_run = defaultdict(list)
    for item in service.heard:
        by_run[item.run_id].append(item.state)
    begins = {"start", "in_progress"}
    assert all(states[0] not in begins or len(states) == 2 for states in by_run.values())
    assert service.heard[-1].state == verdicts["run_succeeded"]
    assert last_failed >= 2
    assert CheckInMonitor.objects.get().left_out > 0
    assert waiting() == 0


def run(end, clock, outcome: str) -> None:
    """A run of the cron ``often`` beside its slots, which takes a second."""
    from rqcron_events.core.events import Event, EventType, run_stream
    from rqcron_events.ledger import store

    run_id = uuid4()
    for number, kind in enumerate(("run_started", outcome)):
        store.append_next(
            [
                Event(
                    stream=run_stream(run_id), version=0, type=EventType(kind), cron="often",
                    run_id=run_id, attempt=1, occurred_at=clock.now,
                )
            ]
        )  # fmt: skip
        if not number:
            clock.advance(SECOND)


def test_an_old_begin_is_not_told_and_its_end_is(hc, runs, service, told, clock, end):
    service.answers = [500]
    runs("a", outcome="")
    told()
    clock.advance(timedelta(minutes=6))
    told()
    end("a", "run_failed")
    told()
    assert service.states("a") == ["fail"]


def test_of_days_without_the_monitor_the_newest_of_each_sort_is_left(
    hc, runs, service, told, clock, monkeypatch
):
    service.answers = [500] * 200
    for number in range(70):
        runs("a", "b", outcome="run_failed" if number % 10 == 0 else "run_succeeded")
        told()
        assert waiting() <= 2 * (outbox.LANE_ROWS_MAX + 2)
    service.answers = []
    clock.advance(timedelta(minutes=10))
    told()
    clock.advance(MINUTE)
    told()
    assert service.states("a")[-2:] == ["fail", "success"]
    assert service.states("b")[-2:] == ["fail", "success"]
    assert len(service.heard) <= 6
    assert waiting() == 0


def test_what_is_refused_or_not_taken_for_days_is_given_up_and_named(
    hc, runs, service, told, clock, caplog
):
    service.answers = [400]
    runs("a", outcome="")
    told()
    service.answers = [500] * 3
    runs("b", outcome="")
    told()
    clock.advance(timedelta(days=3, seconds=1))
    told()
    rows = CheckIn.objects.filter(status="failed").order_by("id")
    assert [(row.cron, row.answer) for row in rows] == [("a", "HTTP 400"), ("b", "HTTP 500")]
    given_up = [r for r in caplog.records if getattr(r, "action", "") == "checkin_given_up"]
    assert len(given_up) == 2
    assert watch.problems() == ["Monitor 'hc' was not told of 1 run within a day; see cron_signal."]


def test_a_monitor_that_does_not_answer_is_named_by_health(hc, runs, service, told, clock):
    service.shutdown()
    service.server_close()
    runs("a")
    for _ in range(3):
        assert watch.problems() == []
        told()
        clock.advance(MINUTE)
    (problem,) = watch.problems()
    assert problem.startswith("Monitor 'hc' has taken no check-in since 2026-03-02 09:01")
    assert problem.endswith("not reached (ConnectionRefusedError).")


@pytest.mark.parametrize("answer", [0, 1], ids=["hangs", "drips"])
def test_a_monitor_that_never_ends_its_answer_is_left(hc, runs, service, told, monkeypatch, answer):
    monkeypatch.setattr(http, "STEP_SECONDS_MAX", 0.3)
    monkeypatch.setattr(http, "SECONDS_MAX", 0.6)
    service.answers = [answer]
    runs("a")
    assert told() == 0
    assert waiting() == 2
    row = CheckInMonitor.objects.get()
    assert (row.attempts, row.claimed_until) == (1, None)
    assert row.answer.startswith("no answer (")


def test_an_answer_that_got_lost_is_the_only_one_that_is_told_twice(hc, runs, service, told, clock):
    service.answers = [2]
    runs("a", "b")
    for _ in range(3):
        told()
        clock.advance(timedelta(seconds=10))
    assert service.states("a") == ["start", "start", "success"]
    assert service.states("b") == ["start", "success"]
    assert len({item.run_id for item in service.heard if item.check == "a"}) == 1


def test_crons_are_told_side_by_side_and_no_more_than_eight_at_once(hc, runs, service, told):
    runs(*"abcdefghijkl")
    told()
    assert len(service.heard) == 24
    assert 1 <= service.at_once_max <= courier.SENDERS


def test_one_process_sends_and_another_takes_over_when_it_died(hc, runs, service, told, clock):
    runs("a", outcome="")
    assert outbox.claim("hc", uuid4())  # and then the process is killed
    assert told() == 0
    clock.advance(timedelta(seconds=outbox.CLAIM_SECONDS + 1))
    assert told() == 1
    assert service.states("a") == ["start"]


def test_checks_that_never_answer_do_not_keep_the_others_from_being_told(
    hc, runs, service, told, clock
):
    hc(create=False)
    service.checks = {"j", "k", "l"}
    runs(*"abcdefghijkl")
    for _ in range(4):
        told()
        clock.advance(timedelta(seconds=10))
    assert [service.states(name) for name in "jkl"] == [["start", "success"]] * 3


def test_whatever_a_monitor_answers_each_run_is_told_in_order(hc, runs, service, told, clock, end):
    """Answers by chance, for half an hour; then all is well."""
    chance = random.Random(7)
    hc(per_minute=100)
    lost = 0
    for _ in range(30):
        service.answers = chance.choices([500, 503, 429, 404, 2], k=chance.choice([0, 0, 1, 3]))
        lost += service.answers.count(2)
        runs("a", "b", outcome=chance.choice(["run_succeeded", "run_failed"]))
        told()
        clock.advance(timedelta(seconds=chance.randrange(40)))
    service.answers = []
    for _ in range(20):
        clock.advance(MINUTE)
        told()
    assert waiting() == 0
    by_run = defaultdict(list)
    for item in service.heard:
        by_run[item.run_id].append(item.state)
    assert len(by_run) == 60
    ends = [states[-1] for states in by_run.values()]
    assert set(ends) <= {"success", "fail"}
    assert all("start" not in states[1:] or states[1] == "start" for states in by_run.values())
    twice = sum(count - 1 for count in service.counts().values())
    assert twice <= lost
    order = [item.run_id for item in service.heard if item.check == "a" and item.state != "start"]
    starts = list(dict.fromkeys(item.run_id for item in service.heard if item.check == "a"))
    assert list(dict.fromkeys(order)) == starts


@pytest.mark.django_db(transaction=True)
def test_a_monitor_that_hangs_delays_neither_the_follower_nor_the_others(
    service, settings, clock, close_threads
):
    settings.RQCRON_CHECKINS = {
        "dead": {
            "kind": "healthchecks", "url": f"{service.root}/hc", "ping_key": PING_KEY,
            "create": True, "crons": ["a"],
        },
        "cronitor": {"kind": "cronitor", "url": "http://127.0.0.1:9", "api_key": API_KEY},
    }  # fmt: skip
    service.answers = [0]
    for name in ("dead", "cronitor"):
        CheckIn.objects.create(
            monitor=name, cron="a", kind="end", fate="succeeded", at=clock.now,
            created_at=clock.now, next_try_at=clock.now,
        )  # fmt: skip
    threads = courier.wake()
    threads[1].join(20)
    assert CheckInMonitor.objects.get(name="cronitor").attempts == 1
    assert threads[0].is_alive()
    assert courier.wake() == [threads[0]]  # no second one for the same monitor
    service.released.set()
    threads[0].join(20)
    assert CheckInMonitor.objects.get(name="dead").attempts == 1
    assert list(monitors()) == ["dead", "cronitor"]
