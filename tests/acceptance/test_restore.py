"""A restore by a real process that is killed at each step."""

from __future__ import annotations

import io
import signal
from pathlib import Path

import pytest
from django.core.management import call_command

from rqcron_events.core.archive.segment import SegmentWriter, segment_path
from rqcron_events.core.codec import Row
from rqcron_events.core.seal.checkpoint import Checkpoint
from rqcron_events.core.seal.leaf import leaf
from rqcron_events.core.seal.merkle import Frontier
from rqcron_events.ledger import store
from rqcron_events.ledger.backend import backend_of
from rqcron_events.models import CronEvent, SealProgress
from rqcron_events.process.failpoints import FAILPOINTS
from tests.processes import Project
from tests.sealing import KEY, NAME, rows_of_before

STEPS = ("restore_written:2", "restore_committed", "restore_whole")


def write(directory: Path, events: list[Row], frontier: Frontier) -> Frontier:
    """One segment, as the archive writes it."""
    body, out = io.BytesIO(), io.BytesIO()
    writer = SegmentWriter(body, frontier)
    writer.add(events)
    point = Checkpoint(NAME, writer.tree.size, writer.tree.root())
    header = writer.finish(out, NAME, KEY.signed(point.text))
    path = directory / segment_path(header.first, header.size)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(out.getvalue())
    return writer.tree


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_this_step_nothing_is_written_twice_and_it_goes_on(
    step: str, project: Project, tmp_path: Path
) -> None:
    events = rows_of_before(days=1)
    write(tmp_path, events[12:], write(tmp_path, events[:12], Frontier()))
    line = ("cron_restore", str(tmp_path), "--key", KEY.verifier.text)
    killed = project.run(*line, RQCRON_FAILPOINT=step)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert CronEvent.objects.count() == (len(events) if step == "restore_whole" else 12)
    assert SealProgress.objects.filter(name="restore").exists()

    call_command(*line, stdout=io.StringIO())
    db = store.connection()
    there = backend_of(db).read(db, 0, None, 100)
    assert [leaf(row) for row in there[:-1]] == [leaf(row) for row in events]
    assert there[-1][3] == "events_restored"
    assert there[-1][0] > events[-1][0]


def test_every_step_of_restoring_is_tried_here() -> None:
    steps = {name for name, text in FAILPOINTS.items() if text.startswith("who restores")}
    assert {step.partition(":")[0] for step in STEPS} == steps
