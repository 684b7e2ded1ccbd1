"""Monitors that are slow, dead, wrong or strict: nothing is lost, overtaken, or sent twice in the normal case."""

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


def waiting() -> int:
    return CheckIn.objects.filter(status="waiting").count()


def test_a_monitor_that_fails_for_minutes_hears_all_in_order_and_once(
    hc, runs, ends, service, sent, clock
):
    service.answers = [500, 503, 500, 502]
    [run_id] = runs("a", outcome="")
    assert sent() == 0
    ends("a", run_id, "run_succeeded")
    for _ in range(9):
        sent()
        clock.advance(timedelta(seconds=10))
    assert service.states("a") == ["start", "success"]
    assert service.asked == 6
    assert set(service.counts().values()) == {1}


def test_what_one_check_does_not_take_holds_up_no_other(hc, runs, service, sent, clock):
    hc(create=False)
    service.checks = {"b"}
    runs("a", "b")
    sent()
    sent()
    assert service.states("b") == ["start", "success"]
    assert waiting() == 2  # of a, which the service does not know
    row = CheckIn.objects.filter(status="waiting").first()
    assert (row.cron, row.answer) == ("a", "HTTP 404")
    service.checks.add("a")
    clock.advance(MINUTE)
    sent()
    assert service.states("a") == ["start", "success"]


def test_a_check_gets_the_time_that_it_asks_for(hc, runs, service, sent, clock):
    service.answers_to, service.headers = {"a": [429]}, {"Retry-After": "90"}
    runs("a", "b")
    sent()
    asked = service.asked
    assert [service.states(name) for name in "ab"] == [[], ["start", "success"]]
    clock.advance(timedelta(seconds=89))
    runs("a", outcome="run_failed")  # which does not hurry the one before
    sent()
    assert service.asked == asked
    clock.advance(SECOND)
    sent()
    assert service.states("a") == ["start", "success", "start", "fail"]


@pytest.mark.parametrize("known", [True, False], ids=["rate limited", "not found"])
def test_a_uuid_that_is_answered_ok_and_not_taken_is_tried_again(
    hc, runs, service, sent, clock, known
):
    hc(checks={"a": UUID_CHECK}, per_minute=100)
    service.limits["healthchecks"] = 1
    service.checks = {UUID_CHECK} if known else set()
    runs("a")
    sent()
    assert waiting() == (1 if known else 2)
    service.checks.add(UUID_CHECK)
    service.limits.clear()
    clock.advance(MINUTE)
    sent()
    assert service.states(UUID_CHECK) == ["start", "success"]


def test_sentry_leaves_all_crons_alone_while_it_asks_for_that(checkins, runs, service, sent, clock):
    checkins(sentry={"kind": "sentry", "dsn": service.dsn})
    service.answers = [429]
    service.headers = {"X-Sentry-Rate-Limits": "60:error:organization, 120:monitor;span:key"}
    runs("a")
    sent()
    asked = service.asked
    assert asked == 1
    clock.advance(timedelta(seconds=119))
    runs("b", "c")
    sent()
    assert service.asked == asked
    clock.advance(SECOND)
    sent()
    assert [service.states(name) for name in "abc"] == [["in_progress", "ok"]] * 3


@pytest.mark.parametrize("kind", ["healthchecks", "sentry"])
def test_no_check_hears_more_than_its_limit_and_each_begin_has_its_end(
    checkins, runs, clock, service, sent, kind
):
    options = {
        "healthchecks": {"url": f"{service.root}/hc", "ping_key": PING_KEY, "create": True},
        "sentry": {"dsn": service.dsn},
    }
    checkins(m={"kind": kind, **options[kind]})
    service.limits = {"healthchecks": 5, "sentry": 6}
    good, bad = ("success", "fail") if kind == "healthchecks" else ("ok", "error")
    for number in range(18):  # a run each ten seconds: twelve check-ins in a minute
        failed = number in (7, 8, 13)
        runs("often", outcome="run_failed" if failed else "run_succeeded", seconds=1)
        clock.advance(timedelta(seconds=9))
        sent()
        assert not outbox.has_due("m")  # what waits for room is not looked at all the time
    clock.advance(MINUTE)
    sent()
    assert service.asked == len(service.heard)  # nothing was above the limit
    by_run = defaultdict(list)
    for item in service.heard:
        by_run[item.run_id].append(item.state)
    assert all(len(states) == 1 + (states[0] not in (good, bad)) for states in by_run.values())
    assert service.heard[-1].state == good
    assert len([item for item in service.heard if item.state == bad]) >= 2
    assert CheckInMonitor.objects.get().left_out > 0
    assert waiting() == 0


def test_an_old_begin_is_not_told_and_its_end_is(hc, runs, ends, service, sent, clock):
    service.answers = [500]
    [run_id] = runs("a", outcome="")
    sent()
    clock.advance(timedelta(minutes=6))
    sent()
    ends("a", run_id, "run_failed")
    sent()
    assert service.states("a") == ["fail"]
    assert watch.problems() == []


def test_the_end_of_a_run_whose_begin_may_have_arrived_is_told_above_the_limit_too(
    hc, runs, ends, service, sent, clock
):
    service.answers = [500]
    [run_id] = runs("a", outcome="")
    sent()
    clock.advance(timedelta(minutes=6))
    sent()
    ends("a", run_id, "run_succeeded")
    runs(*"a" * 4)  # nine check-ins, of which five fit into the minute
    sent()
    clock.advance(MINUTE)
    sent()
    told = [item.run_id for item in service.heard]
    assert told[0] == str(run_id)
    assert len(told) < 9


def test_of_days_without_the_monitor_the_newest_of_each_sort_is_left(
    hc, runs, service, sent, clock, monkeypatch
):
    monkeypatch.setattr(outbox, "LANE_ROWS_MAX", 4)
    service.answers = [500] * 200
    for number in range(12):
        runs("a", "b", outcome="run_failed" if number % 4 == 0 else "run_succeeded")
        clock.advance(MINUTE)
        sent()
        assert waiting() <= 2 * (outbox.LANE_ROWS_MAX + 2)
    service.answers = []
    clock.advance(timedelta(minutes=10))
    sent()
    clock.advance(MINUTE)
    sent()
    assert service.states("a")[-2:] == ["fail", "success"]
    assert service.states("b")[-2:] == ["fail", "success"]
    assert len(service.heard) <= 6
    assert waiting() == 0


def test_what_is_refused_or_not_taken_for_days_is_given_up_and_named(
    hc, runs, service, sent, clock, caplog
):
    service.answers = [400]
    runs("a", outcome="")
    sent()
    service.answers = [500] * 3
    runs("b", outcome="")
    sent()
    clock.advance(timedelta(days=3, seconds=1))
    sent()
    rows = CheckIn.objects.filter(status="failed").order_by("id")
    assert [(row.cron, row.answer) for row in rows] == [("a", "HTTP 400"), ("b", "HTTP 500")]
    given_up = [r for r in caplog.records if getattr(r, "action", "") == "checkin_given_up"]
    assert len(given_up) == 2
    assert watch.problems() == ["Monitor 'hc' was not told of 1 run within a day; see cron_signal."]


def test_a_monitor_that_does_not_answer_is_named_by_health(hc, runs, service, sent, clock):
    service.shutdown()
    service.server_close()
    runs("a")
    for _ in range(3):
        assert watch.problems() == []
        sent()
        clock.advance(MINUTE)
    (problem,) = watch.problems()
    assert problem.startswith("Monitor 'hc' has taken no check-in since 2026-03-02 09:00:30 UTC")
    assert problem.endswith("not reached (ConnectionRefusedError).")


@pytest.mark.parametrize("answer", [0, 1], ids=["hangs", "drips"])
def test_a_monitor_that_never_ends_its_answer_is_left(hc, runs, service, sent, monkeypatch, answer):
    monkeypatch.setattr(http, "STEP_SECONDS_MAX", 0.3)
    monkeypatch.setattr(http, "SECONDS_MAX", 0.6)
    service.answers = [answer]
    runs("a")
    assert sent() == 0
    assert waiting() == 2
    row = CheckInMonitor.objects.get()
    assert (row.attempts, row.claimed_until) == (1, None)
    assert row.answer.startswith("no answer (")


def test_an_answer_that_got_lost_is_the_only_one_that_is_told_twice(hc, runs, service, sent, clock):
    service.answers = [2]
    runs("a")
    sent()
    clock.advance(timedelta(seconds=10))
    runs("b")
    sent()
    assert service.states("a") == ["start", "start", "success"]
    assert service.states("b") == ["start", "success"]
    assert len({item.run_id for item in service.heard if item.check == "a"}) == 1


def test_crons_are_told_side_by_side_and_no_more_than_eight_at_once(hc, runs, service, sent):
    service.together = 8
    runs(*"abcdefghijkl")
    sent()
    assert len(service.heard) == 24
    assert service.at_once_max == 8


def test_one_process_sends_and_another_takes_over_when_it_died(hc, runs, service, sent, clock):
    runs("a", outcome="")
    assert outbox.claim("hc", uuid4())  # and then the process is killed
    assert sent() == 0
    clock.advance(timedelta(seconds=outbox.CLAIM_SECONDS + 1))
    assert sent() == 1
    assert service.states("a") == ["start"]


def test_checks_that_never_answer_do_not_keep_the_others_from_being_told(
    hc, runs, service, sent, clock
):
    hc(create=False)
    service.checks = {"j", "k", "l"}
    runs(*"abcdefghijkl")
    for _ in range(4):
        sent()
        clock.advance(timedelta(seconds=10))
    assert [service.states(name) for name in "jkl"] == [["start", "success"]] * 3


def test_whatever_a_monitor_answers_each_run_is_told_in_order(hc, runs, service, sent, clock):
    """Answers by chance, for twenty minutes; then all is well."""
    chance = random.Random(7)
    hc(per_minute=100)
    lost = 0
    for _ in range(15):
        service.answers = chance.choices([500, 503, 429, 404, 2], k=chance.choice([0, 0, 1, 3]))
        lost += service.answers.count(2)
        runs("a", "b", outcome=chance.choice(["run_succeeded", "run_failed"]))
        sent()
        clock.advance(timedelta(seconds=chance.randrange(60, 100)))
    service.answers = []
    clock.advance(timedelta(minutes=10))
    sent()
    assert waiting() == 0
    by_run = defaultdict(list)
    for item in service.heard:
        by_run[item.run_id].append(item.state)
    assert len(by_run) == 30
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
