"""A run that RQ does not take concerns that run alone, and is enqueued when the cause is gone."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from rq import Queue

from rqcron_events.core.definition import Definition, Retries
from rqcron_events.execution.enqueuer import RunRequest, job_id
from rqcron_events.models import CronEvent
from rqcron_events.operations import controls
from rqcron_events.queries import runs_in_rq
from rqcron_events.queries.audit import audit
from rqcron_events.queries.explain import explain, explain_run
from rqcron_events.queries.health import health
from rqcron_events.registry import Registered

MINUTE = timedelta(minutes=1)


def types(cron: str) -> list[str]:
    return list(CronEvent.objects.for_cron(cron).order_by("id").values_list("type", flat=True))


@pytest.fixture
def add_raw(crons):
    """Registers a definition past ``register_cron``: what an older release let through."""

    def add(name: str, **values) -> None:
        definition = Definition(
            **{"name": name, "function": "old:code", "expression": "* * * * *", **values}
        )
        crons.crons[name] = Registered(definition=definition, function=print)

    return add


@pytest.fixture
def reconcile(clock):
    def reconcile(runner) -> None:
        clock.advance(timedelta(seconds=10))
        runner.states.follow()
        runner._reconciled_at = float("-inf")
        runner.reconcile_all()

    return reconcile


REFUSED = {
    "a queue that is gone": {"queue": "gone"},
    "ttl=-1": {"options": {"ttl": -1}},
    "ttl=10**18": {"options": {"ttl": 10**18}},
    "a malformed retry": {"retries": Retries(max=1, intervals=("soon",))},  # type: ignore[arg-type]
    "a timeout of 0": {"options": {"timeout": 0}},
}


@pytest.mark.parametrize("values", REFUSED.values(), ids=REFUSED.keys())
def test_a_run_that_rq_refuses_stays_open_and_all_others_are_enqueued(
    deploy, add, add_raw, clock, reconcile, redis_connection, values
):
    for number in range(5):
        add(f"good-{number}", schedule="* * * * *")
    add_raw("guilty", **values)
    runner = deploy()
    clock.advance(MINUTE)
    runner.tick()
    reconcile(runner)
    reconcile(runner)
    for number in range(5):
        assert types(f"good-{number}") == ["cron_registered", "slot_fired", "run_enqueued"]
    assert types("guilty") == ["cron_registered", "slot_fired", "enqueue_failed"]
    assert Queue("default", connection=redis_connection).count == 5
    (run_id,) = runner.states.crons["guilty"].open_runs
    assert not redis_connection.exists(f"rq:job:{job_id(run_id)}")


@pytest.mark.parametrize("values", REFUSED.values(), ids=REFUSED.keys())
def test_it_is_enqueued_by_itself_when_the_cause_is_gone(
    deploy, add, add_raw, clock, reconcile, redis_connection, values
):
    add_raw("guilty", **values)
    runner = deploy()
    clock.advance(MINUTE)
    runner.tick()
    add_raw("guilty")
    runner = deploy()
    reconcile(runner)
    assert types("guilty").count("run_enqueued") == 1
    (run_id,) = runner.states.crons["guilty"].open_runs
    assert Queue("default", connection=redis_connection).get_job_ids() == [job_id(run_id)]


def test_a_new_cause_is_recorded_once_more(deploy, add_raw, clock, reconcile):
    add_raw("guilty", queue="gone")
    runner = deploy()
    clock.advance(MINUTE)
    runner.tick()
    add_raw("guilty", options={"ttl": -1})
    runner = deploy()
    reconcile(runner)
    reconcile(runner)
    failed = CronEvent.objects.of_type("enqueue_failed").order_by("id")
    assert [event.data["error"]["type"] for event in failed] == ["QueueUnusable", "ValueError"]
    assert {event.reason for event in failed} == {"refused"}


def test_many_guilty_crons_in_one_batch_are_all_found(deploy, add, add_raw, clock):
    kinds = list(REFUSED.values())
    for number in range(60):
        if number % 6 == 0:
            add(f"good-{number}", schedule="* * * * *")
        else:
            add_raw(f"guilty-{number}", **kinds[number % 5])
    runner = deploy()
    clock.advance(MINUTE)
    runner.tick()
    for number in range(60):
        kind = "run_enqueued" if number % 6 == 0 else "enqueue_failed"
        assert types(f"{'good' if number % 6 == 0 else 'guilty'}-{number}")[-1] == kind


def test_a_job_key_of_a_wrong_type_concerns_its_run_alone(
    deploy, add, clock, redis_connection, monkeypatch
):
    add("good", schedule="* * * * *")
    add("guilty", schedule="* * * * *")
    runner = deploy()
    clock.advance(MINUTE)
    from rqcron_events.core.definition import run_id_for_slot

    guilty = run_id_for_slot("guilty", clock.now.replace(second=0))
    redis_connection.set(f"rq:job:{job_id(guilty)}", "a string")
    runner.tick()
    assert types("good")[-1] == "run_enqueued"
    assert types("guilty")[-1] == "enqueue_failed"
    assert Queue("default", connection=redis_connection).count == 1


def test_no_more_than_a_hundred_runs_wait_for_a_cause_to_go(deploy, add, add_raw, clock, reconcile):
    add("good", every=timedelta(seconds=1))
    add_raw("guilty", queue="gone", expression=None, every_seconds=1)
    runner = deploy()
    for _ in range(130):
        clock.advance(timedelta(seconds=1))
        runner.tick()
    fired = CronEvent.objects.for_cron("guilty").of_type("slot_fired").count()
    assert 100 <= fired <= 110
    newest = CronEvent.objects.for_cron("guilty").of_type("slot_skipped").order_by("-id")[0]
    assert newest.reason == "overlap"
    told = explain("guilty", newest.scheduled_for).summary
    assert f"RQ refuses its jobs, and {fired} of its runs are waiting to be accepted" in told, told
    assert CronEvent.objects.for_cron("good").of_type("slot_fired").count() == 130
    assert audit("guilty").ok


class RaisingQueue(Queue):
    """A project's queue class with a fault."""

    def enqueue_many(self, *args, **kwargs):
        raise RuntimeError("the project's own code")


@pytest.fixture
def queues(settings, monkeypatch):
    """RQ_QUEUES, to be changed; django-rq reads the same dict."""
    before = {name: dict(values) for name, values in settings.RQ_QUEUES.items()}
    yield settings.RQ_QUEUES
    settings.RQ_QUEUES.clear()
    settings.RQ_QUEUES.update(before)


@pytest.mark.parametrize(
    "broken",
    [
        {"QUEUE_CLASS": f"{__name__}.RaisingQueue"},
        {"QUEUE_CLASS": "nowhere.Queue"},
        {"SERIALIZER": "nowhere.Serializer"},
        {"URL": "nonsense://"},
    ],
    ids=str,
)
def test_a_queue_whose_settings_or_class_are_broken_concerns_its_runs_alone(
    deploy, add, clock, reconcile, queues, broken
):
    add("good", schedule="* * * * *")
    add("guilty", schedule="* * * * *", queue="high")
    queues["high"] |= broken
    runner = deploy()
    clock.advance(MINUTE)
    runner.tick()
    reconcile(runner)
    assert types("good")[-1] == "run_enqueued"
    assert types("guilty") == ["cron_registered", "slot_fired", "enqueue_failed"]


def test_a_second_redis_that_is_gone_concerns_its_runs_alone(
    deploy, add, clock, reconcile, queues, redis_connection
):
    """Recorded once per outage, also while the other server answers in between."""
    add("good", schedule="* * * * *")
    add("waits", schedule="* * * * *", queue="low")
    url = queues["low"]["URL"]
    queues["low"]["URL"] = "redis://127.0.0.1:1/0"
    runner = deploy()
    for _ in range(3):
        clock.advance(MINUTE)
        runner.tick()
        reconcile(runner)
    assert types("good").count("run_enqueued") == 3
    assert types("waits").count("enqueue_failed") == 1
    redis_connection.flushdb()  # what is in the server that answers is still looked after
    reconcile(runner)
    assert Queue("default", connection=redis_connection).count == 3
    queues["low"]["URL"] = url
    runner = deploy()
    reconcile(runner)
    assert types("waits").count("run_enqueued") == types("waits").count("slot_fired")


def test_a_queue_that_runs_jobs_at_once_runs_each_of_them_once(
    deploy, add, clock, queues, reconcile
):
    """``ASYNC: False``, as in projects' tests; one that fails does not take the others with it."""
    ran: list[str] = []

    def fails() -> None:
        ran.append("fails")
        raise ValueError("on purpose")

    add("first", lambda: ran.append("first"), schedule="* * * * *", queue="high")
    add("fails", fails, schedule="* * * * *", queue="high")
    add("second", lambda: ran.append("second"), schedule="* * * * *", queue="high")
    queues["high"]["ASYNC"] = False
    runner = deploy()
    clock.advance(MINUTE)
    runner.tick()
    reconcile(runner)
    assert sorted(ran) == ["fails", "first", "second"]
    assert "run_succeeded" in types("first")
    assert "run_succeeded" in types("second")
    assert "run_failed" in types("fails")


def test_once_does_the_rest_and_says_what_is_refused(deploy, add, add_raw, clock):
    from rqcron_events.runner.once import once

    add("good", schedule="* * * * *")
    add_raw("guilty", queue="gone")
    deploy()
    clock.advance(MINUTE)
    done = once()
    assert done.decided == 2
    assert done.waiting == 0
    assert done.refused == [
        "RQ refuses jobs of cron 'guilty': QueueUnusable: Queue 'gone' is not in RQ_QUEUES. Add it "
        "there, or give the cron one of: default, high, low."
    ]


def test_health_and_explain_name_the_run_and_the_cause_until_it_is_gone(
    deploy, add_raw, clock, reconcile
):
    add_raw("guilty", queue="gone")
    runner = deploy()
    for _ in range(2):
        clock.advance(MINUTE)
        runner.tick()
    (older, newer) = runner.states.crons["guilty"].open_runs
    (told,) = [text for text in health().problems if "RQ refuses" in text]
    assert told == (
        f"RQ refuses the jobs of 2 runs, such as {newer} of cron 'guilty': Queue 'gone' is not in "
        "RQ_QUEUES. Add it there, or give the cron one of: default, high, low. They are enqueued "
        "when the cause is gone."
    )
    assert (
        "its run is waiting: RQ has refused its job since 2026-03-02 09:01:30 UTC: QueueUnusable: Queue "
        "'gone' is not in RQ_QUEUES"
    ) in explain_run(older).summary
    add_raw("guilty")
    reconcile(deploy())
    assert not [text for text in health().problems if "RQ refuses" in text]
    assert "its run is waiting in queue 'default'" in explain_run(older).summary


def test_health_names_each_cause_and_its_crons_however_many_runs_one_has(
    deploy, add_raw, clock, monkeypatch
):
    monkeypatch.setattr(runs_in_rq, "REFUSED_LOOKED_AT_MAX", 2)
    for number, queue in enumerate(("gone", "gone", "away")):
        add_raw(f"guilty-{number}", queue=queue)
    runner = deploy()
    clock.advance(MINUTE)
    runner.tick()
    add_raw("newest", options={"ttl": -1})
    runner = deploy()
    for _ in range(3):
        clock.advance(MINUTE)
        runner.tick()
    told = [text for text in health().problems if "RQ refuses" in text]
    for name in ("guilty-0", "guilty-1", "guilty-2", "newest"):
        assert len([text for text in told if f"'{name}'" in text]) == 1, told
    assert len(told) == 3, "one for each cause"


def test_a_run_is_refused_in_words_when_a_person_asks_for_it(deploy, add_raw, clock, caplog):
    add_raw("guilty", queue="gone", expression="0 0 1 1 *")
    deploy()
    definition = controls.known_state("guilty").definition
    assert definition is not None
    request = RunRequest(run_id=uuid4(), definition=definition, slot=None)
    (text,) = controls.enqueue([request], "ann")
    assert text.startswith(
        "RQ refuses jobs of cron 'guilty': QueueUnusable: Queue 'gone' is not in"
    )
    assert text in caplog.text
    assert CronEvent.objects.for_run(request.run_id).of_type("enqueue_failed").count() == 1


def test_what_rq_takes_goes_in_one_trip(deploy, add, add_raw, clock, redis_connection):
    """Also while another cron is refused in each batch: it is remembered, and tried alone."""
    for number in range(20):
        add(f"good-{number}", schedule="* * * * *")
    add_raw("guilty", options={"ttl": -1})
    runner = deploy()
    for _ in range(2):
        clock.advance(MINUTE)
        runner.tick()
    before = redis_connection.info("commandstats")["cmdstat_exec"]["calls"]
    clock.advance(MINUTE)
    runner._reconciled_at = float("inf")
    runner.tick()
    assert redis_connection.info("commandstats")["cmdstat_exec"]["calls"] - before == 1
