"""I7 over an archive: replay over segments and log gives the rows that the live projections have."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from rqcron_projections import projector
from rqcron_projections.models import Checkpoint, CronJobPast, CronPastPosition, CronRun
from rqcron_projections.past import kept
from rqcron_projections.past.crons import state_at
from rqcron_projections.projector import PROJECTIONS
from rqcron_projections.replay import rebuild, shadow
from rqcron_projections.tables import row_values

from rqcron_events.errors import SegmentUnavailable
from rqcron_events.models import CronEvent, CronSegment
from tests.archiving import archive, forget_files, unreachable, use_storage
from tests.projections.histories import History, append
from tests.projections.replay.test_replay_equals_live import MODELS, live_rows

pytestmark = pytest.mark.django_db
NAMES = [projection.name for projection in PROJECTIONS]


@pytest.fixture
def directory(settings: Any, tmp_path: Path) -> Path:
    found = tmp_path / "archive"
    found.mkdir()
    use_storage(settings, found)
    forget_files()
    return found


def write(seed: int) -> None:
    """A random history, all runs of which have ended: an open one would hold the archive back."""
    written = History(seed=seed)
    for _ in range(150):
        written.step()
    while written.open:
        written.advance("")
    append(written.events)


@pytest.fixture
def live(directory: Path) -> dict[str, list[dict]]:
    """The rows of a log of some hundred events, most of which are then archived in three segments."""
    for seed in (3, 4):
        write(seed)
    projector.catch_up()
    found = live_rows()
    count = CronEvent.objects.count()
    for _ in range(3):
        archive(count // 4, per_seal=7)
    assert CronEvent.objects.count() < count * 3 // 4
    return found


def test_a_check_over_the_archive_finds_nothing_wrong(live: dict[str, list[dict]]):
    assert rebuild.check() == []
    CronRun.objects.order_by("pk").first().delete()
    assert [(item.table, item.problem) for item in rebuild.check()] == [("rqcron_run", "missing")]


@pytest.mark.parametrize("page", [7, 10_000])
@pytest.mark.parametrize("together", [True, False], ids=["together", "one by one"])
def test_a_rebuild_gives_the_same_rows(
    live: dict[str, list[dict]], monkeypatch: pytest.MonkeyPatch, page: int, together: bool
):
    monkeypatch.setattr(shadow, "ARCHIVED_EVENTS_MAX", page)
    for model in MODELS:
        model.objects.all().delete()
    for names in [NAMES] if together else [[name] for name in NAMES]:
        rebuild.rebuild(names)
    assert live_rows() == live


def test_a_projection_that_is_new_reads_the_archive_first(live: dict[str, list[dict]]):
    for model in MODELS:
        model.objects.all().delete()
    Checkpoint.objects.all().delete()
    projector.catch_up()
    assert live_rows() == live
    assert projector.broken() == []


def test_without_the_segments_it_says_which_it_needs_and_leaves_what_is_there(
    live: dict[str, list[dict]], directory: Path
):
    unreachable(directory)
    forget_files()
    first = CronSegment.objects.order_by("size").first()
    for words in ((), ("--check",)):
        with pytest.raises(CommandError, match=first.path):
            call_command("cron_replay", *words, stdout=io.StringIO())
    assert live_rows() == live
    Checkpoint.objects.all().delete()
    projector.catch_up()
    assert sorted(projector.broken()) == sorted(NAMES)
    assert live_rows() == live


@pytest.mark.parametrize("names", [NAMES, *[[name] for name in NAMES]], ids=",".join)
def test_what_is_archived_while_it_is_read_is_read_there(
    directory: Path, monkeypatch: pytest.MonkeyPatch, names: list[str]
):
    write(5)
    projector.catch_up()
    found, count = live_rows(), CronEvent.objects.count()
    true_fold: Callable[..., None] = shadow.Shadow.fold
    done: list[int] = []

    def fold(self: shadow.Shadow, page: Any) -> None:
        if not done:
            done.append(1)
            archive(count // 2, per_seal=7)
        true_fold(self, page)

    monkeypatch.setattr(shadow.Shadow, "fold", fold)
    monkeypatch.setattr(shadow, "PAGE_EVENTS_MAX", 20)
    monkeypatch.setattr(shadow, "EVENTS_MIN", 20)
    for model in MODELS:
        model.objects.all().delete()
    rebuild.rebuild(names)
    if names == NAMES:
        assert live_rows() == found


@pytest.fixture
def kept_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of the past are kept every 20 events."""
    monkeypatch.setattr(kept, "EVENTS_MIN", 20)
    monkeypatch.setattr(kept, "EVENTS_PER_ROW_MIN", 0)
    monkeypatch.setattr(shadow, "EVENTS_MIN", 20)
    for bound in ("PAGE_EVENTS", "PAGE_EVENTS_MIN", "PAGE_EVENTS_MAX"):
        monkeypatch.setattr(projector, bound, 20)
    monkeypatch.setattr(projector, "_pace", projector._Pace())


def past_rows() -> list[dict]:
    models = (CronJobPast, CronPastPosition)
    return [row_values(row) for model in models for row in model.objects.order_by("pk")]


@pytest.mark.parametrize("often", [True, False], ids=["kept often", "never kept"])
def test_the_past_can_be_asked_for_and_built_again(
    directory: Path, request: pytest.FixtureRequest, often: bool
):
    if often:
        request.getfixturevalue("kept_often")
    write(6)
    projector.catch_up()
    times = list(CronEvent.objects.order_by("id").values_list("occurred_at", flat=True))[::9]

    def told() -> list[list[dict]]:
        return [[row_values(row) for row in state_at(at)] for at in times]

    before, rows = told(), past_rows()
    assert rows or not often
    count = CronEvent.objects.count()
    for _ in range(2):
        archive(count // 3, per_seal=7)
    assert told() == before
    assert rebuild.check(["crons"]) == []
    CronJobPast.objects.all().delete()
    CronPastPosition.objects.all().delete()
    assert told() == before, "from the first event"
    rebuild.rebuild(["crons"])
    assert told() == before
    assert rebuild.check(["crons"]) == []
    unreachable(directory)
    forget_files()
    if often:  # from the newest rows that were kept
        assert [row_values(row) for row in state_at(times[-1])] == before[-1]
    CronPastPosition.objects.all().delete()
    with pytest.raises(SegmentUnavailable, match="segments/"):
        state_at(times[3])
