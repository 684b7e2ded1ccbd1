"""RQCRON_RUN_DAYS: old rows of runs are removed, and nothing else; a replay leaves out the same."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from rqcron_projections import apps, projector
from rqcron_projections.folds.runs import PROJECTION as RUNS
from rqcron_projections.models import Checkpoint, CronDay, CronRun, CronTotal
from rqcron_projections.replay import rebuild
from rqcron_projections.report import report
from rqcron_projections.retention import remove
from rqcron_projections.tables import row_values

from rqcron_events.core.events import EventType, run_stream
from rqcron_events.models import CronEvent
from rqcron_events.testing import FakeClock
from tests.projections.histories import START, append, history
from tests.projections.pages.past import HOUR, Past
from tests.projections.pages.past import START as MONDAY

pytestmark = pytest.mark.django_db

DAYS = 30


@pytest.fixture
def now(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``now(instant)``: a clock at which rows of before that instant are old; looks are not spaced out."""
    settings.RQCRON_RUN_DAYS = DAYS
    monkeypatch.setattr(remove, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(remove, "_next_at", float("-inf"))

    def at(instant: datetime) -> FakeClock:
        return FakeClock(instant + timedelta(days=DAYS))

    return at


def follow() -> None:
    """What is called beside the runner."""
    while apps._follow():
        pass


def rows(model: Any) -> list[dict[str, Any]]:
    return [row_values(row) for row in model.objects.order_by("pk")]


def written(seed: int = 1) -> datetime:
    """A history, folded; when half of its runs had been asked for."""
    append(history(seed, 400))
    projector.catch_up()
    asked_for = sorted(CronRun.objects.values_list("requested_at", flat=True))
    middle: datetime = asked_for[len(asked_for) // 2]
    return middle


def old(before: datetime) -> Any:
    return CronRun.objects.filter(requested_at__lt=before)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_old_rows_of_ended_runs_go_and_a_replay_leaves_out_the_same(now: Any, seed: int) -> None:
    middle = written(seed)
    days, totals, kept = rows(CronDay), rows(CronTotal), rows(CronRun)
    ended = old(middle).filter(status__in=RUNS.retention.ended).count()
    waiting = set(old(middle).exclude(status__in=RUNS.retention.ended))
    assert ended > 5
    with now(middle):
        follow()
        assert set(old(middle)) == waiting
        assert CronRun.objects.count() == len(kept) - ended
        assert (rows(CronDay), rows(CronTotal)) == (days, totals)
        live = rows(CronRun)
        assert rebuild.check() == []
        rebuild.rebuild()
        assert rows(CronRun) == live
        CronRun.objects.all().delete()
        rebuild.rebuild(["runs"])
        assert rows(CronRun) == live
        assert rebuild.check() == []


def test_it_goes_on_in_batches_and_a_check_between_two_finds_all_right(
    now: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    middle = written()
    before = CronRun.objects.count()
    monkeypatch.setattr(remove, "BATCH_ROWS", 2)
    with now(middle):
        assert remove.remove_old("runs", RUNS.retention, CronRun, middle) == 2
        assert Checkpoint.objects.get(name="runs").kept_from == middle
        assert rebuild.check(["runs"]) == []
        assert remove.remove_when_due("runs", RUNS.retention, CronRun) == 2 * remove.BATCHES_MAX
        assert CronRun.objects.count() == before - 2 - 2 * remove.BATCHES_MAX
        assert rebuild.check(["runs"]) == []


def test_an_event_that_comes_after_its_row_is_gone_makes_no_half_of_a_row(now: Any) -> None:
    middle = written()
    gone = old(middle).filter(status__in=RUNS.retention.ended).first()
    with now(middle):
        follow()
        stream = run_stream(gone.run_id)
        late = Past()
        late.versions[stream] = CronEvent.objects.filter(stream=stream).count()
        late.add(stream, EventType.START_REFUSED, START + timedelta(hours=1), cron=gone.cron,
                 run_id=gone.run_id, reason="ended", actor="worker/1")  # fmt: skip
        append(late.events)
        follow()
        assert not CronRun.objects.filter(run_id=gone.run_id).exists()
        assert rebuild.check(["runs"]) == []


def test_who_had_read_a_row_that_is_removed_meanwhile_begins_again(
    now: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    middle = written()
    gone = old(middle).filter(status__in=RUNS.retention.ended).first()
    stream = run_stream(gone.run_id)
    late = Past()
    late.versions[stream] = CronEvent.objects.filter(stream=stream).count()
    late.add(stream, EventType.START_REFUSED, START + timedelta(hours=1), cron=gone.cron,
             run_id=gone.run_id, reason="ended", actor="worker/1")  # fmt: skip
    append(late.events)
    save, removed = projector._save, []

    def removed_between(pairs: Any, page: Any) -> bool:
        """Its checkpoint was read before."""
        if not removed:
            removed.append(remove.remove_old("runs", RUNS.retention, CronRun, middle))
        return save(pairs, page)

    monkeypatch.setattr(projector, "_save", removed_between)
    with now(middle):
        projector.catch_up()
        assert removed[0] > 0
        assert projector.broken() == []
        assert not CronRun.objects.filter(run_id=gone.run_id).exists()
        assert rebuild.check(["runs"]) == []


def test_a_replay_with_more_days_brings_the_rows_back(now: Any, settings: Any) -> None:
    middle = written()
    before = rows(CronRun)
    with now(middle):
        follow()
        settings.RQCRON_RUN_DAYS = None
        assert rebuild.check(["runs"]) == []
        rebuild.rebuild(["runs"])
    assert rows(CronRun) == before
    assert Checkpoint.objects.get(name="runs").kept_from is None


@pytest.fixture
def ran(now: Any) -> Any:
    """Two days of an hourly cron, of which one has no rows of runs any more; at the clock of their end."""
    past = Past()
    past.define("digest")
    past.fire_between("digest", MONDAY, MONDAY + 47 * HOUR)
    past.write()
    with now(MONDAY + 24 * HOUR) as clock:
        follow()
        assert CronRun.objects.count() == 24
        yield clock


def test_reports_of_whole_days_stay_exact_and_others_say_what_they_lack(
    ran: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = report((MONDAY - 24 * HOUR).date(), (MONDAY + 48 * HOUR).date())
    assert (whole.totals.fired, whole.totals.outcomes["succeeded"]) == (47, 47)
    assert whole.runs_kept_from is None
    lacks = report(MONDAY - HOUR, MONDAY + 36 * HOUR, by="queue")
    assert lacks.runs_kept_from == MONDAY + 24 * HOUR
    assert lacks.to_data()["runs_kept_from"] == "2026-03-03T00:00:00+00:00"
    assert report(MONDAY + 25 * HOUR, MONDAY + 36 * HOUR, by="queue").runs_kept_from is None
    call_command("cron_report", "--by", "queue", "--since", "2026-03-01", "--until", "2026-03-04")
    assert "asked for before 2026-03-03 00:00:00 UTC and have ended are removed" in (
        capsys.readouterr().out
    )


def test_cron_history_says_where_the_rows_end(ran: Any, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("cron_history", "digest", "--limit", "10")
    assert "RQCRON_RUN_DAYS" not in capsys.readouterr().err
    call_command("cron_history", "digest", "--limit", "30")
    assert "before 2026-03-03 00:00:00 UTC and have ended are removed" in capsys.readouterr().err
    call_command("cron_history", "digest", "--limit", "30", "--at", "2026-03-03T03:00:00Z")
    assert "RQCRON_RUN_DAYS" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("address", "given", "is_told"),
    [
        ("cron", {"zoom": "week", "zone": "utc"}, True),
        ("cron", {"zoom": "hour", "zone": "utc"}, False),
        ("load", {}, True),
        ("load", {"hour": "2026-03-02T05:00:00Z"}, True),
        ("load", {"hour": "2026-03-03T05:00:00Z"}, False),
        ("report", {"since": "2026-03-01"}, True),
        ("report", {"since": "2026-03-04", "until": "2026-03-06"}, False),
    ],
)
def test_pages_say_where_rows_end(
    ran: Any, admin_client: Client, address: str, given: dict[str, str], is_told: bool
) -> None:
    Checkpoint.objects.filter(name="runs").update(kept_from=MONDAY + 24 * HOUR)
    with FakeClock(MONDAY + 47 * HOUR):
        parts = ["digest"] if address == "cron" else []
        page = admin_client.get(reverse(f"admin:rqcron_{address}", args=parts), given)
    assert page.status_code == 200
    told = "have ended are removed (RQCRON_RUN_DAYS)" in page.content.decode()
    assert told == is_told


def test_nothing_is_asked_twice_a_minute(
    now: Any, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    monkeypatch.setattr(remove, "PAUSE_SECONDS", 60.0)
    with now(MONDAY):
        remove.remove_when_due("runs", RUNS.retention, CronRun)
        with django_assert_num_queries(0):
            remove.remove_when_due("runs", RUNS.retention, CronRun)


def test_the_search_for_old_rows_goes_by_an_index(now: Any) -> None:
    middle = written()
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
        rows_of = CronRun.objects.filter(RUNS.retention.old(middle)).order_by("requested_at")
        plan = rows_of[:10].explain()
    assert "rqcron_run_" in plan, plan
