"""A pass of the archive: what it writes, what goes, what stays."""

from __future__ import annotations

import json
from pathlib import Path

from rqcron_events.core.archive.segment import SegmentReader
from rqcron_events.core.seal.leaf import leaf
from rqcron_events.ledger import store
from rqcron_events.ledger.backend import backend_of
from rqcron_events.models import CronEvent, CronSegment
from tests.archive_pass import archive_all
from tests.sealing import KEY, NAME, gap, history, ids


def leaves() -> list[bytes]:
    db = store.connection()
    return [leaf(row) for row in backend_of(db).read(db, 0, None, 10_000)]


def test_events_are_in_the_segment_and_their_rows_are_gone(segments: Path):
    history("alpha", runs=30)
    gap()
    history("beta", runs=2)
    before = leaves()
    done = archive_all()
    [segment] = CronSegment.objects.all()
    assert (segment.first, segment.size) == (0, len(before))
    with (segments / segment.path).open("rb") as file:
        assert list(SegmentReader(file, [KEY.verifier], NAME)) == before
    assert (done.events, done.archived_events, done.archived_to) == (
        len(before),
        len(before),
        segment.last_id,
    )
    left = set(ids())
    kept = [json.loads(line)["id"] for line in before if json.loads(line)["id"] in left]
    # Of each: its registration, and the newest decision with its run.
    assert (len(kept), done.kept_rows, done.removed_rows) == (10, 10, len(before) - 10)
    [told] = CronEvent.objects.of_type("events_archived").events()
    assert told.data == {
        "path": segment.path, "first": 0, "size": segment.size, "first_id": segment.first_id,
        "last_id": segment.last_id, "sha256": segment.sha256,
    }  # fmt: skip
    assert told.actor == "ann"
