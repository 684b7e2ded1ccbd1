"""The page that Prometheus scrapes: right while all is well, and there while something is not."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.db.utils import OperationalError
from django.test import Client
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from rqcron_projections.cron_total import CronTotal
from rqcron_projections.models import Checkpoint, CronJob
from rqcron_projections.projector import catch_up
from rqcron_projections.replay.rebuild import rebuild
from rqcron_projections.signals.prometheus import crons as crons_module
from rqcron_projections.signals.prometheus.collector import CronCollector
from rqcron_projections.signals.prometheus.metrics import METRICS
from rqcron_projections.signals.prometheus.scrape import scrape

from rqcron_events.execution.enqueuer import Enqueuer
from rqcron_events.ledger.backend import backend_of
from rqcron_events.models import CronLease
from rqcron_events.operations.controls import pause
from rqcron_events.queries.health import health
from tests.projections.histories import append, history

PAGE = "/cron-metrics/"
COUNTING = ("_total", "_count", "_sum", "_bucket")
MINUTE = timedelta(minutes=1)


def samples(text: str) -> dict[tuple[str, frozenset], float]:
    """By name and labels; no sample may come twice."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found
            found[key] = sample.value
    return found


def scraped(**options) -> Callable[..., float | None]:
    found = samples(scrape(**options))
    return lambda name, **labels: found.get((f"rqcron_{name}", frozenset(labels.items())))


@pytest.fixture
def minutes(deploy, add, clock) -> Callable[[int], None]:
    """Lets minutes pass under a runner that leads, and the projections follow."""
    add("report", schedule="* * * * *", max_lateness=timedelta(minutes=5))

    def passed(count: int) -> None:
        for _ in range(count):
            clock.advance(MINUTE)
            passed.runner.tick()
        catch_up()

    passed.runner = deploy()
    catch_up()
    return passed


def test_it_tells_what_the_log_has_about_a_cron(minutes, clock):
    minutes(3)
    value = scraped()
    assert value("cron_info", cron="report", schedule="* * * * *", timezone="UTC", queue="default")
    assert value("cron_slots_total", cron="report", decision="fired", reason="") == 3
    assert value("cron_slots_total", cron="report", decision="missed", reason="too_late") == 0
    assert value("cron_runs_total", cron="report", outcome="succeeded") == 0
    assert value("cron_active_runs", cron="report") == 3
    last, following = (clock.now.replace(second=0) + MINUTE * n for n in (0, 1))
    assert value("cron_last_slot_timestamp_seconds", cron="report") == last.timestamp()
    assert value("cron_next_slot_timestamp_seconds", cron="report") == following.timestamp()
    assert value("cron_last_success_timestamp_seconds", cron="report") is None
    assert value("cron_max_lateness_seconds", cron="report") == 300
    assert value("cron_paused", cron="report") == 0
    assert value("cron_lateness_seconds_count", cron="report") == 3
    assert value("lateness_seconds_bucket", le="+Inf") == 3
    assert value("lateness_seconds_bucket", le="30") == 3
    assert value("lateness_seconds_bucket", le="10") == 0
    assert value("spool_runs", redis=next(iter(Enqueuer().servers()))) == 0
    assert value("projection_lag_events", projection="crons") == 0
    assert value("log_size_bytes") > 0
    assert value("scrape_part_ok", part="crons") == 1


def test_histograms_of_each_cron_are_there_for_who_asks(minutes):
    minutes(2)
    assert scraped()("cron_lateness_seconds_bucket", cron="report", le="30") is None
    value = scraped(buckets_by_cron=True)
    assert value("cron_lateness_seconds_bucket", cron="report", le="30") == 2
    assert value("cron_lateness_seconds_sum", cron="report") == 60


def test_slots_that_nobody_decides_are_counted_also_of_a_paused_cron(minutes, clock):
    minutes(1)
    assert scraped()("cron_unaccounted_slots", cron="report") == 0
    clock.advance(3 * MINUTE)
    assert scraped()("cron_unaccounted_slots", cron="report") == 3
    minutes.runner.tick()  # decided, but the projections do not know yet
    assert scraped()("cron_unaccounted_slots", cron="report") == 0
    pause("report", reason="the printer moves", by="ann")
    catch_up()
    clock.advance(2 * MINUTE)
    value = scraped()
    assert value("cron_unaccounted_slots", cron="report") == 2
    assert value("cron_paused", cron="report") == 1


def test_beyond_a_number_of_crons_slots_are_not_counted_one_by_one(minutes, clock, monkeypatch):
    minutes(1)
    monkeypatch.setattr("rqcron_projections.signals.prometheus.unaccounted.COUNTED_CRONS_MAX", 0)
    clock.advance(3 * MINUTE)
    assert scraped()("cron_unaccounted_slots", cron="report") == 1


def test_far_behind_the_log_nothing_is_said_about_slots(minutes, clock, monkeypatch):
    minutes(1)
    monkeypatch.setattr(crons_module, "LAG_EVENTS_MAX", -1)
    clock.advance(3 * MINUTE)
    value = scraped()
    assert value("cron_unaccounted_slots", cron="report") is None
    assert value("cron_active_runs", cron="report") == 1


def leads(runner) -> None:
    runner.tick()


def has_stopped(runner) -> None:
    runner.lease.release()


def has_been_killed(runner) -> None:
    CronLease.objects.update(renewed_at=Now() - timedelta(minutes=5))


def is_of_the_future(runner) -> None:
    CronLease.objects.update(renewed_at=Now() + timedelta(minutes=5))


def has_left_no_lease(runner) -> None:
    CronLease.objects.all().delete()


@pytest.mark.parametrize(
    ("runner_is", "alive"),
    [
        (leads, 1),
        (has_stopped, 0),
        (has_been_killed, 0),
        (is_of_the_future, 0),
        (has_left_no_lease, 0),
    ],
)
def test_a_runner_is_alive_where_cron_health_says_so(minutes, runner_is, alive):
    runner_is(minutes.runner)
    value = scraped()
    assert value("runner_alive") == alive
    assert value("runner_leading", runner=minutes.runner.id) in ({1} if alive else {0, None})
    found = health()
    assert any("runner" in text or "leader" in text for text in found.problems) == (not alive)
    assert value("cron_info", cron="report", schedule="* * * * *", timezone="UTC", queue="default")


def test_counters_only_grow_and_a_replay_leaves_them(db, redis_connection):
    def counted() -> dict[tuple[str, frozenset], float]:
        found = samples(scrape(buckets_by_cron=True))
        return {key: n for key, n in found.items() if key[0].endswith(COUNTING)}

    before: dict[tuple[str, frozenset], float] = {}
    for seed in (4, 5):
        append(history(seed, 150))
        catch_up()
        now = counted()
        assert now.keys() >= before.keys()
        assert {key: (n, now[key]) for key, n in before.items() if now[key] < n} == {}
        assert sum(now.values()) > sum(before.values())
        rebuild(["days"])
        assert counted() == now
        before = now


def test_a_cron_that_is_retired_takes_nothing_from_the_sums(minutes, crons, deploy, add):
    add("other", schedule="* * * * *")
    minutes.runner = deploy()
    minutes(2)
    before = scraped()("lateness_seconds_count")
    del crons.crons["other"]
    deploy()
    catch_up()
    value = scraped()
    assert value("cron_paused", cron="other") is None
    assert value("crons", status="retired") == 1
    assert value("lateness_seconds_count") == before == 4


@pytest.mark.parametrize(
    "damage",
    [
        {"definition": ["a list"]},
        {"definition": {"max_age_seconds": "a word"}},
        {"definition": {"names": [3, 'a "word"\nand \\ more']}},
        {"definition": {"every_seconds": "a word"}, "next_slot": None},
        {"kept": 3, "next_slot": None},
        {"timezone": "Nowhere/At_all", "schedule": '"\n\\'},
        {"queue": "q" * 10_000},
    ],
)
def test_what_is_wrong_with_one_cron_hides_no_other(minutes, add, deploy, clock, damage):
    add("broken", schedule="* * * * *")
    minutes.runner = deploy()
    minutes(1)
    clock.advance(3 * MINUTE)
    CronJob.objects.filter(name="broken").update(**damage)
    value = scraped()
    assert value("cron_unaccounted_slots", cron="report") > 0
    assert value("scrape_part_ok", part="crons") == 1
    for wrong in ({"slots": []}, {"lateness_buckets": "a word"}):
        CronTotal.objects.filter(cron="broken").update(**wrong)
        value = scraped()
        assert value("totals_unreadable") == 1
    assert value("cron_slots_total", cron="report", decision="fired", reason="") > 0


def test_two_crons_of_one_name_and_crons_beyond_the_bound_are_left_out(
    minutes, add, deploy, monkeypatch
):
    for name in ("a", "b", "c"):
        add(name, schedule="* * * * *")
    minutes.runner = deploy()
    minutes(1)
    CronJob.objects.filter(name__in=["a", "b"]).update(definition={"names": ["x", "report"]})
    monkeypatch.setattr(crons_module, "CRONS_MAX", 3)
    value = scraped()  # a, b, c; report is too many
    assert value("crons_left_out", reason="too_many") == 1
    for name in ("report", "b", "c"):
        assert value("cron_paused", cron=name) == 0


def test_reasons_and_outcomes_of_a_newer_release_have_one_label(minutes):
    minutes(1)
    CronTotal.objects.update(
        slots={"fired": 1, "missed/new": 2, "missed/newer": 3},
        outcomes={"exploded": 4, "failed": 1},
    )
    value = scraped()
    assert value("cron_slots_total", cron="report", decision="missed", reason="other") == 5
    assert value("cron_runs_total", cron="report", outcome="other") == 4
    assert value("cron_runs_total", cron="report", outcome="failed") == 1


def test_without_the_projections_tables_the_rest_is_told(minutes, caplog):
    with ExitStack() as stack:
        for model in (CronJob, Checkpoint, CronTotal):
            table, away = model._meta.db_table, f"{model._meta.db_table}_away"
            _rename(table, away)
            stack.callback(_rename, away, table)
        first, value = scraped(), scraped()
    for found in (first, value):
        assert found("runner_alive") == 1
        assert found("log_newest_event") > 0
        assert [found("scrape_part_ok", part=name) for name in ("names", "projections", "log")] == [
            0,
            0,
            1,
        ]
    told = [
        line.part for line in caplog.records if getattr(line, "action", "") == "metrics_part_failed"
    ]
    assert told == ["names", "projections"]  # once
    assert scraped()("scrape_part_ok", part="names") == 1


def _rename(table: str, name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO {name}")


def test_a_redis_that_is_away_is_told_and_the_rest_too(minutes, settings):
    settings.RQ_QUEUES = {"default": {"URL": "redis://:secret@127.0.0.1:1/0"}}
    text = scrape()
    assert "secret" not in text
    found = samples(text)
    assert found["rqcron_redis_up", frozenset({("redis", "127.0.0.1:1/0")})] == 0
    assert found["rqcron_runner_alive", frozenset()] == 1


def test_a_database_that_does_not_answer_is_told(minutes, monkeypatch):
    def away(*_: object) -> None:
        raise OperationalError("the server closed the connection")

    for name in ("standing_by_lease", "standing_by_calls"):
        monkeypatch.setattr(f"rqcron_events.queries.runners.{name}", away)
    value = scraped()
    assert value("runner_alive") is None
    assert value("scrape_part_ok", part="runners") == 0
    assert value("scrape_part_ok", part="crons") == 1


@pytest.mark.django_db(transaction=True)
def test_a_table_that_somebody_locks_costs_its_part_only(postgresql, redis_connection):
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("BEGIN; LOCK TABLE rqcron_job")
            value = scraped()
    finally:
        other.close()
    assert value("scrape_part_ok", part="names") == 0
    assert value("scrape_part_ok", part="log") == 1


@pytest.mark.django_db(transaction=True)
def test_a_statement_has_a_bound(postgresql, redis_connection, monkeypatch):
    scrape_module = "rqcron_projections.signals.prometheus.scrape"
    monkeypatch.setattr(f"{scrape_module}.STATEMENT_SECONDS_MAX", 0.05)

    def slow(_: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(60)")

    monkeypatch.setattr(f"{scrape_module}.tell_runners", slow)
    value = scraped()
    assert value("scrape_part_ok", part="runners") == 0
    assert value("scrape_part_ok", part="log") == 1  # in the same session


@pytest.fixture
def postgresql() -> None:
    """Locks and bounds of statements are PostgreSQL's."""
    assert backend_of(connection).COMMITS_OUT_OF_ORDER


def test_the_page_wants_the_token_of_django_rq(minutes, settings):
    client = Client()
    for token, given in (("", ""), ("", "Bearer "), ("tök", "Bearer other"), ("tök", "tök")):
        settings.RQ_API_TOKEN = token
        answer = client.get(PAGE, headers={"Authorization": given})
        assert answer.status_code == 401
        assert b"rqcron_" not in answer.content
    settings.RQ_API_TOKEN = "a-token"
    answer = client.get(PAGE, headers={"Authorization": "Bearer a-token"})
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "no-cache" in answer["Cache-Control"]
    assert samples(answer.text)["rqcron_runner_alive", frozenset()] == 1
    assert client.post(PAGE).status_code == 405


def test_staff_may_look_without_a_token(minutes, settings, django_user_model):
    from django.test import RequestFactory
    from rqcron_projections.signals.prometheus.views import metrics_view

    for is_staff, status in ((True, 200), (False, 401)):
        request = RequestFactory().get(PAGE)
        request.user = django_user_model(username="ann", is_staff=is_staff)
        assert metrics_view(request).status_code == status


def test_a_registry_of_prometheus_client_has_the_same(minutes):
    minutes(1)
    registry = CollectorRegistry()
    registry.register(CronCollector())
    labels = {"cron": "report", "decision": "fired", "reason": ""}
    assert registry.get_sample_value("rqcron_cron_slots_total", labels) == 1


def test_only_metrics_that_have_a_name_are_told(minutes):
    minutes(1)
    text = scrape(buckets_by_cron=True)
    told = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert told <= METRICS.keys()
    for family in text_string_to_metric_families(text):
        metric = METRICS.get(family.name) or METRICS[f"{family.name}_total"]
        for sample in family.samples:
            assert sample.labels.keys() - {"le"} == set(metric.labels)
