"""Archiving by real processes that are killed at each step."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from django.db import transaction

from rqcron_events.core.archive.segment import SegmentReader
from rqcron_events.core.seal.leaf import leaf
from rqcron_events.ledger import store
from rqcron_events.ledger.backend import backend_of
from rqcron_events.models import CronEvent, CronSegment
from rqcron_events.process.failpoints import FAILPOINTS
from rqcron_events.runner.following.steps import follow_all
from tests.archive_pass import fire_many, printed, use_archive
from tests.processes import Project
from tests.sealing import KEY, NAME, fire, rows_of_before, seal

STEPS = ("segment_written", "segment_verified", "segment_recorded", "rows_removed", "tiles_removed")


def leaves(after: int = 0) -> list[bytes]:
    db = store.connection()
    return [leaf(row) for row in backend_of(db).read(db, after, None, 100_000)]


def archived(directory: Path) -> list[bytes]:
    found = []
    for segment in CronSegment.objects.all():
        with (directory / segment.path).open("rb") as file:
            found += SegmentReader(file, [KEY.verifier], NAME)
    return found


def test_killed_at_any_step_it_goes_on_and_nothing_is_lost_or_archived_twice(
    project: Project, settings: Any, tmp_path: Path
) -> None:
    directory = tmp_path / "archive"
    use_archive(settings, directory)
    project.environment |= {"TEST_SEAL_KEY": KEY.secret_text(), "TEST_ARCHIVE": str(directory)}
    for number, step in enumerate(STEPS):
        known, last = archived(directory), CronSegment.objects.last()
        fire_many("alpha", 100 * number + 1, 70)
        seal()
        fire(f"last_{number}", 1)
        seal()
        follow_all()
        everything = known + leaves(last.last_id if last else 0)
        killed = project.run("cron_archive", "--before", "now", RQCRON_FAILPOINT=step)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        recorded = step not in ("segment_written", "segment_verified")
        assert CronSegment.objects.count() == number + recorded
        printed("--before", "now")
        assert CronSegment.objects.count() == number + 1
        assert CronEvent.objects.of_type("events_archived").count() == number + 1
        assert len(list((directory / "segments").iterdir())) == number + 1
        now = archived(directory)
        rest = leaves(CronSegment.objects.last().last_id)
        assert [*now, *rest][: len(everything)] == everything
        assert CronEvent.objects.filter(cron="alpha").count() == 5


def test_every_step_of_archiving_is_tried_here() -> None:
    told = {name for name, text in FAILPOINTS.items() if text.startswith("who archives")}
    assert set(STEPS) == told


def test_the_runner_that_leads_archives_what_is_old_by_itself(
    project: Project, settings: Any, tmp_path: Path
) -> None:
    directory = tmp_path / "archive"
    use_archive(settings, directory)
    old, db = rows_of_before(days=3), store.connection()
    with transaction.atomic(using=db.alias):
        assert backend_of(db).insert_archived(db, old, 0)
    seal()
    fire("beta", 1)
    seal()
    follow_all()
    project.environment |= {
        "TEST_SEAL_KEY": KEY.secret_text(),
        "TEST_ARCHIVE": str(directory),
        "TEST_KEEP_DAYS": "1",
    }
    project.start("cron_run", TEST_APPS="tests.many_app")
    gone = CronEvent.objects.filter(id=old[1][0])
    project.wait_until(lambda: not gone.exists())
    assert archived(directory) == list(map(leaf, old))
    assert CronEvent.objects.of_type("slot_fired").exclude(cron="alpha").exists()
    assert CronEvent.objects.for_cron("alpha").of_type("cron_registered").exists()
