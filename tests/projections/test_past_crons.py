"""Crons as they were: out of rows that were kept, exactly what a fold of the whole log gives."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rqcron_projections import projector
from rqcron_projections.folds import crons
from rqcron_projections.folds.cron_status import as_of
from rqcron_projections.models import CronJob, CronJobPast, CronPastPosition
from rqcron_projections.past import crons as past
from rqcron_projections.past import kept
from rqcron_projections.past.crons import state_at
from rqcron_projections.replay import rebuild, shadow
from rqcron_projections.stored_rows import StoredRows
from rqcron_projections.tables import row_values

from rqcron_events.core.events import Event, EventType
from rqcron_events.models import CronEvent
from tests.examples import examples
from tests.projections.histories import START, History, append, history
from tests.projections.replay.test_replay_equals_live import undone

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)
SHIFTS = (-timedelta(days=2), -timedelta(hours=1), -5 * SECOND, 5 * SECOND, timedelta(days=400))
"""Of clocks that are wrong, and of what is written late."""


def whole_fold(at: datetime, names: Collection[str] | None = None) -> list[dict[str, Any]]:
    events = CronEvent.objects.filter(occurred_at__lte=at)
    if names is not None:
        events = events.filter(cron__in=names)
    rows: dict[str, CronJob] = {}
    for event in events.order_by("id").events():
        if event.cron:
            for row in crons.apply(rows.get(event.cron), event):
                if isinstance(row, CronJob):
                    rows[row.name] = row
    for row in rows.values():
        crons.complete(row)
    return [row_values(as_of(rows[name], at)) for name in sorted(rows)]


def answers(at: datetime, names: Collection[str] | None = None) -> list[dict[str, Any]]:
    return [row_values(row) for row in state_at(at, names)]


def odd_history(seed: int, steps: int) -> list[Event]:
    """With slots that are taken back, and times that are not in the order of the log."""
    written, random = History(seed=seed), Random(seed)
    for _ in range(steps):
        written.step()
        if random.random() < 0.03 and written.definitions:
            name = random.choice(sorted(written.definitions))
            data = {"effective_from": written.now.isoformat(), "kept": []}
            written.own(name, EventType.CRON_REWOUND, actor="ada", data=data)
    share = random.choice([0, 0.02, 0.2])
    return [
        replace(event, occurred_at=event.occurred_at + random.choice(SHIFTS))
        if random.random() < share
        else event
        for event in written.events
    ]


@pytest.fixture
def folded(monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """Events that the fold of crons was given."""
    found: list[Event] = []
    apply = crons.apply

    def noted(row: CronJob | None, event: Event) -> Any:
        found.append(event)
        return apply(row, event)

    monkeypatch.setattr(crons, "apply", noted)
    return found


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are kept after a few events already."""
    monkeypatch.setattr(kept, "EVENTS_MIN", 7)
    monkeypatch.setattr(kept, "EVENTS_PER_ROW_MIN", 1)
    monkeypatch.setattr(past, "EVENTS_PER_QUERY", 5)
    for bound in ("PAGE_EVENTS", "PAGE_EVENTS_MIN", "PAGE_EVENTS_MAX"):
        monkeypatch.setattr(projector, bound, 20)
    monkeypatch.setattr(projector, "_pace", projector._Pace())


@pytest.mark.usefixtures("often")
@settings(
    max_examples=examples(8),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    seed=st.integers(0, 2**32), steps=st.integers(1, 120), dice=st.randoms(use_true_random=False)
)
def test_any_past_is_what_a_fold_of_the_whole_log_gives(
    seed: int, steps: int, dice: Random
) -> None:
    with undone():
        events = odd_history(seed, steps)
        times = [event.occurred_at + dice.choice([-SECOND, 0 * SECOND]) for event in events]
        names = sorted({event.cron for event in events if event.cron}) or ["nobody"]
        while events:
            size = dice.randint(1, len(events))
            append(events[:size])
            del events[:size]
            projector.catch_up(dice.choice([3, 20, None]))
        some = [*dice.sample(times, min(len(times), 4)), START + timedelta(days=900)]
        expected = {at: whole_fold(at) for at in some}
        for at in some:
            assert answers(at) == expected[at]
            for name in dice.sample(names, 1):
                assert answers(at, [name]) == [r for r in expected[at] if r["name"] == name]
        projector.catch_up()
        assert rebuild.check(["crons"]) == []
        rebuild.rebuild(["crons"])
        assert {at: answers(at) for at in some} == expected
        assert rebuild.check(["crons"]) == []


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("rebuilt", [False, True])
def test_no_question_about_the_past_folds_the_whole_log(
    rebuilt: bool, folded: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    events = history(5, 400)
    append(events)
    monkeypatch.setattr(shadow, "PAGE_EVENTS_MAX", 20)
    projector.catch_up()
    if rebuilt:
        rebuild.rebuild(["crons"])
    assert CronPastPosition.objects.count() > 6
    for event in events[::150]:
        folded.clear()
        found = answers(event.occurred_at)
        assert len(folded) <= 120, "two intervals, each of two pages"
        assert found == whole_fold(event.occurred_at)


@pytest.mark.usefixtures("often")
def test_a_clock_far_ahead_makes_no_other_cron_slow(folded: list[Event]) -> None:
    events = history(5, 400)
    wrong = next(i for i, event in enumerate(events) if event.type is EventType.SLOT_FIRED)
    events[wrong] = replace(
        events[wrong], occurred_at=events[wrong].occurred_at + timedelta(days=400)
    )
    append(events)
    projector.catch_up()
    at = events[-100].occurred_at
    folded.clear()
    found = answers(at)
    assert sum(event.cron != events[wrong].cron for event in folded) <= 120
    assert found == whole_fold(at)


@pytest.mark.usefixtures("often")
def test_rows_that_were_kept_of_a_log_that_went_back_are_not_used() -> None:
    append(history(5, 300))
    projector.catch_up()
    position = CronPastPosition.objects.order_by("-position")[3]
    CronPastPosition.objects.filter(position__gte=position.position).update(
        last_recorded_at=position.last_recorded_at + SECOND
    )
    CronJobPast.objects.filter(position__gte=position.position).update(fired_count=10_000)
    at = CronEvent.objects.order_by("id").last().occurred_at
    assert answers(at) == whole_fold(at)


@pytest.mark.usefixtures("often")
def test_a_check_finds_a_kept_row_that_is_wrong_and_a_rebuild_mends_it() -> None:
    append(history(5, 300))
    projector.catch_up()
    wrong = CronJobPast.objects.order_by("position", "name")[4]
    CronJobPast.objects.filter(key=wrong.key).update(fired_count=10_000)
    (found,) = rebuild.check(["crons"])
    assert (found.table, found.key, found.problem) == ("rqcron_job_past", wrong.key, "different")
    assert found.columns == {"fired_count": [10_000, wrong.fired_count]}
    rebuild.rebuild(["crons"])
    assert rebuild.check(["crons"]) == []


def test_a_rebuild_finds_what_was_kept_before_by_an_index() -> None:
    """With 5,000 crons and 10 million events it read half a million rows a hundred times."""
    replayed = shadow.Shadow(crons.PROJECTION)
    replayed.create()
    try:
        by_position = replayed.tables.stored_in[CronJobPast].objects.filter(position=1)
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute("SET LOCAL enable_seqscan = off")  # it is empty
        assert "shadow_position" in by_position.explain()
    finally:
        replayed.drop()


def test_a_rebuild_that_keeps_rows_reads_none_of_them_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each left a dead version behind, and every one after it went past all of them."""
    append(history(5, 300))
    monkeypatch.setattr(kept, "EVENTS_MIN", 20)
    monkeypatch.setattr(kept, "EVENTS_PER_ROW_MIN", 0)
    monkeypatch.setattr(shadow, "EVENTS_MIN", 20)
    taken: list[Any] = []
    take = StoredRows.take

    def spy(self: StoredRows, keys: Collection[Any]) -> Any:
        found = take(self, keys)
        taken.extend(found if self.model is CronJob else ())
        return found

    monkeypatch.setattr(StoredRows, "take", spy)
    rebuild.rebuild(["crons"])
    assert CronPastPosition.objects.count() > 10
    assert not taken
    assert rebuild.check(["crons"]) == []
