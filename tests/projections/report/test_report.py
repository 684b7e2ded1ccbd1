"""Reports agree with what the raw events say, counted the slow way."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rqcron_projections import projector
from rqcron_projections.histogram import RELATIVE_ERROR
from rqcron_projections.models import CronDay, CronJob
from rqcron_projections.report.figures import Durations, Figures
from rqcron_projections.report.report import _name, report
from rqcron_projections.report.tallies import Tallies

from rqcron_events.core.events import EventType
from rqcron_events.testing import FakeClock
from tests.examples import examples
from tests.projections.histories import START, History, append, history
from tests.projections.replay.test_replay_equals_live import undone

from .report_oracle import Log, expected_report, read, streaks

pytestmark = pytest.mark.django_db

FAR = datetime(2100, 1, 1, tzinfo=UTC)
SETTINGS = settings(
    max_examples=examples(40),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def written(seed: int, steps: int) -> Log:
    events = history(seed, steps)
    append(events)
    projector.catch_up()
    return read(events)


def assert_same(figures: Figures, expected: dict, tolerance: float) -> None:
    for name in ("fired", "requested", "attempts_failed"):
        assert getattr(figures, name) == expected[name], name
    assert figures.skipped == dict(expected["skipped"])
    assert figures.missed == dict(expected["missed"])
    assert figures.expected == (
        expected["fired"] + expected["skipped"].total() + expected["missed"].total()
    )
    assert {name: n for name, n in figures.outcomes.items() if n} == expected["outcomes"]
    for name in ("lateness", "queue_wait", "duration"):
        assert_spread(getattr(figures, name), sorted(expected[name]), tolerance)


def assert_spread(durations: Durations, values: list[float], tolerance: float) -> None:
    assert durations.count == len(values)
    if not values:
        assert durations.p95_seconds is durations.mean_seconds is durations.max_seconds is None
        return
    assert durations.max_seconds == pytest.approx(values[-1], abs=2e-6)
    assert durations.mean_seconds == pytest.approx(sum(values) / len(values), abs=2e-6)
    for percent in (50, 95, 99):
        true = values[max(math.ceil(percent / 100 * len(values)), 1) - 1]
        told = getattr(durations, f"p{percent}_seconds")
        assert told == pytest.approx(true, rel=tolerance, abs=2e-6), percent


def assert_rows(rows: tuple[Figures, ...], expected: dict, tolerance: float) -> None:
    assert [row.group for row in rows] == sorted(expected)
    for row in rows:
        assert_same(row, expected[row.group], tolerance)


@SETTINGS
@given(seed=st.integers(0, 2**32), steps=st.integers(1, 150), ends=st.randoms())
@pytest.mark.parametrize("by", ["cron", "day"])
def test_whole_days_are_what_the_raw_events_say(
    by: str, seed: int, steps: int, ends: Random
) -> None:
    with undone():
        log = written(seed, steps)
        since = START.date() + timedelta(days=ends.choice([-9, 0, 1, 3, 40]))
        until = since + timedelta(days=ends.choice([1, 2, 9, 900]))
        found = report(since, until, by=by)

        assert not found.exact
        expected = expected_report(
            log,
            lambda _, day: since <= day < until,
            (lambda item: item.cron) if by == "cron" else (lambda item: item.day),
        )
        assert_rows(found.rows, expected, RELATIVE_ERROR)
        streak = streaks(log.results)
        in_range = [run for run in log.results if since <= run.day < until]
        assert found.totals.longest_failure_streak == max(
            (streak.get(run.run_id, 0) for run in in_range), default=0
        )
        assert found.totals.turned_failing == sum(streak.get(r.run_id) == 1 for r in in_range)
        failed = [run for run in in_range if run.run_id in streak]
        assert sum(error.count for error in found.errors) == len(failed)
        assert {error.run_id for error in found.errors} <= {run.run_id for run in failed}


@SETTINGS
@given(seed=st.integers(0, 2**32), steps=st.integers(1, 150), ends=st.randoms())
@pytest.mark.parametrize("by", ["cron", "queue", "hour"])
def test_instants_and_hours_are_exactly_what_the_raw_events_say(
    by: str, seed: int, steps: int, ends: Random
) -> None:
    with undone(), FakeClock(FAR):
        log = written(seed, steps)
        since = START + timedelta(minutes=ends.randint(-90, 5000))
        until = since + timedelta(minutes=ends.randint(1, 40_000))
        queues = dict(CronJob.objects.values_list("name", "queue"))

        def group(item):
            if by == "cron":
                return item.cron
            if by == "queue":
                return (
                    getattr(item, "queue", "")
                    or (queued.get((item.cron, item.slot)) if hasattr(item, "slot") else "")
                    or queues[item.cron]
                )
            at = item.slot if hasattr(item, "slot") else item.instant
            return at.replace(minute=0, second=0, microsecond=0)

        queued = {
            (run.cron, run.instant): run.queue
            for run in log.runs.values()
            if run.lateness is not None
        }
        found = report(since, until, by=by)

        assert found.exact
        expected = expected_report(log, lambda at, _: since <= at < until, group)
        assert_rows(found.rows, expected, 0)
        runs = [run for run in log.results if since <= run.instant < until]
        assert found.totals.longest_failure_streak == max(streaks(runs).values(), default=0)


@SETTINGS
@given(seed=st.integers(0, 2**32), steps=st.integers(1, 150))
def test_days_and_single_runs_tell_the_same(seed: int, steps: int) -> None:
    with undone(), FakeClock(FAR):
        written(seed, steps)
        since, until = START - timedelta(days=30), FAR - timedelta(seconds=1)
        days = report(since.date(), until.date())
        runs = report(since, until)

        assert (days.exact, runs.exact) == (False, True)
        for one, other in zip((*days.rows, days.totals), (*runs.rows, runs.totals), strict=True):
            for name in Figures.__dataclass_fields__:
                mine, theirs = getattr(one, name), getattr(other, name)
                if isinstance(mine, Durations):
                    assert (mine.count, mine.mean_seconds, mine.max_seconds) == (
                        theirs.count,
                        theirs.mean_seconds,
                        theirs.max_seconds,
                    )
                else:
                    assert mine == theirs, name
        assert [(e.type, e.message_shape, e.count) for e in days.errors] == [
            (e.type, e.message_shape, e.count) for e in runs.errors
        ]
        one, other = ({f.cron: f for f in found.flakiest} for found in (days, runs))
        assert one.keys() == other.keys()
        for name, flaky in one.items():
            assert flaky.changes - other[name].changes in (0, 1)
            assert replace(flaky, changes=other[name].changes) == other[name]


@pytest.mark.parametrize("exact", [False, True])
def test_only_changes_between_success_and_failure_make_a_cron_flaky(exact: bool) -> None:
    """One that never succeeded is broken, and not on the list at all."""
    written = History(seed=8, crons=4)
    results = dict(zip(written.names, ("FFFF", "SSFS", "SSSS", "RRFR"), strict=True))
    for name in written.names:
        written.define(name)
        for result in results[name]:
            end(written, name, result)
    append(written.events)
    projector.catch_up()
    with FakeClock(FAR):
        found = report(START if exact else START.date())
    assert found.exact is exact
    _, flapping, _, retried = written.names
    assert [(item.cron, item.changes) for item in found.flakiest] == [(retried, 2), (flapping, 2)]
    assert found.flakiest[0].attempts_failed == 3


def end(written: History, name: str, result: str) -> None:
    """Fire and end: S succeeds, R at the second attempt, F fails."""
    written.fire(name)
    run = written.open[-1]
    run.to_come[:] = [(EventType.RUN_STARTED, {"attempt": 1})]
    if result == "R":
        run.to_come += [
            (EventType.ATTEMPT_FAILED, {"attempt": 1, "reason": "exception"}),
            (EventType.RUN_STARTED, {"attempt": 2}),
        ]
    outcome = EventType.RUN_FAILED if result == "F" else EventType.RUN_SUCCEEDED
    run.to_come.append((outcome, {"attempt": 1 + (result == "R"), "reason": "exception"}))
    while run in written.open:
        written.advance(name)


def test_a_stretch_of_slots_over_a_clock_change_is_split_at_the_midnights_of_its_zone() -> None:
    cron = History(seed=1, crons=1)
    (name,) = cron.names
    first = datetime(2026, 3, 7, 4, 0, tzinfo=UTC)  # 23:00 on the 6th in New York
    last = datetime(2026, 3, 9, 4, 0, tzinfo=UTC)  # midnight between the 8th and the 9th
    cron.define(name)
    definition = {"name": name, "function": "a:b", "expression": "*/30 * * * *"}
    definition["timezone"] = "America/New_York"
    cron.events[0].data["definition"].clear()
    cron.events[0].data["definition"].update(definition)
    data = {"first": first.isoformat(), "last": last.isoformat(), "count": 97}
    cron.own(name, EventType.SLOT_MISSED, scheduled_for=last, reason="too_late", data=data)
    append(cron.events)
    projector.catch_up()

    days = dict(CronDay.objects.order_by("day").values_list("day", "missed"))
    assert days == {
        date(2026, 3, 6): 2,
        date(2026, 3, 7): 48,
        date(2026, 3, 8): 46,  # the hour from two to three does not exist
        date(2026, 3, 9): 1,
    }


def test_instants_at_midnight_in_the_zone_of_all_crons_are_whole_days() -> None:
    written(3, 120)
    CronDay.objects.update(timezone="Asia/Kathmandu")
    midnight = datetime(2026, 3, 2, 18, 15, tzinfo=UTC)
    assert not report(midnight).exact
    assert report(midnight + timedelta(minutes=1)).exact
    CronDay.objects.filter(pk=CronDay.objects.order_by("day").first().pk).update(timezone="UTC")
    assert report(midnight).exact


def test_errors_are_grouped_by_what_their_messages_have_in_common() -> None:
    cron = History(seed=4, crons=1)
    (name,) = cron.names
    cron.define(name)
    messages = ["order 1 of 'ann' failed", "order 22 of 'bob' failed", "disk full"]
    for message in messages:
        cron.fire(name)
        error = {"type": "ShopError", "message": message}
        cron.open[-1].to_come[:] = [
            (EventType.RUN_FAILED, {"reason": "exception", "data": {"error": error}})
        ]
        cron.advance(name)
    cron.fire(name)
    cron.open[-1].to_come[:] = [(EventType.RUN_FAILED, {"reason": "worker_killed"})]
    cron.advance(name)
    append(cron.events)
    projector.catch_up()

    found = report(START.date()).errors
    assert Counter({(e.type, e.message_shape): e.count for e in found}) == {
        ("ShopError", "order <number> of <text> failed"): 2,
        ("ShopError", "disk full"): 1,
        ("worker_killed", ""): 1,
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"since": date(2026, 3, 2), "until": date(2026, 3, 2)}, "The range is empty"),
        ({"since": datetime(2026, 3, 2)}, "has no time zone"),
        ({"since": date(2026, 1, 1), "by": "hour"}, "at most 31 days"),
        ({"by": "week"}, "Use one of cron, day, hour, queue"),
    ],
)
def test_a_bad_range_is_said_with_the_remedy(arguments: dict, said: str) -> None:
    with FakeClock(FAR), pytest.raises(ValueError, match=said):
        report(**arguments)


def test_a_name_may_have_slashes() -> None:
    name = "shop/daily/send"
    cron = History(seed=5, crons=1)
    cron.names = [name]
    cron.define(name)
    cron.fire(name)
    append(cron.events)
    projector.catch_up()
    assert [row.group for row in report(START.date()).rows] == [name]


def test_a_name_that_another_cron_is_stored_under_costs_no_figures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tallies = Tallies("cron", exact=True)
    for cron, times in (("b_sync", 4), ("sync", 8)):
        (tally,) = tallies.of(cron, cron)
        tally.fired = times
        tallies.add_error("ValueError", cron, "", times)
    names = {"b_sync": "sync", "sync": "sync_old"}
    monkeypatch.setitem(_name.__globals__, "present_names", lambda: names)
    _name(tallies)
    fired = {cron: tally.fired for cron, tally in tallies.crons.items()}
    assert fired == tallies.errors["ValueError"].crons == {"sync_old": 8, "sync": 4}
