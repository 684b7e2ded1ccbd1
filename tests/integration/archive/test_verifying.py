"""``cron_verify`` over an archive: segments, and the rows that stayed, are what was sealed."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from rqcron_events.core.archive.row import row_of
from rqcron_events.core.archive.segment import SegmentWriter
from rqcron_events.core.events import Event, EventType
from rqcron_events.core.seal.checkpoint import Checkpoint
from rqcron_events.core.seal.merkle import Frontier
from rqcron_events.errors import SegmentUnavailable
from rqcron_events.ledger import store
from rqcron_events.ledger.backend import backend_of
from rqcron_events.models import CronEvent, CronSegment, CronTile
from rqcron_events.seals.difference import Kind
from rqcron_events.seals.proof import proof_of
from rqcron_events.seals.segments import lines_of
from tests.archiving import archive, forget_files, unreachable
from tests.integration.seals.test_proof import check
from tests.sealing import KEY, NOON, execute, fire, history, keep_outside, seal, verified


@pytest.fixture
def log(tmp_path: Path) -> list[int]:
    """Ids of 283 events: two segments of 130 events are archived, and the rest is sealed."""
    start = Event(stream="runner/r", version=1, type=EventType.RUNNER_STARTED, occurred_at=NOON)
    pause = Event(stream="ledger", version=1, type=EventType.ALL_PAUSED, occurred_at=NOON)
    store.append([start, pause])
    found = history("alpha", runs=70)
    for _ in range(2):
        archive(130, per_seal=10)
        keep_outside(tmp_path / "outside")
    assert CronTile.objects.filter(path="0/000").count() == 0
    assert CronEvent.objects.count() < 40
    return found


def tampered(*statements: str) -> None:
    backend_of(connection).set_append_only(connection, False)
    execute(*statements)
    backend_of(connection).set_append_only(connection, True)


def found(**more: Any) -> list[tuple[Kind, int | None]]:
    return [(finding.kind, finding.event_id) for finding in verified(**more).findings]


def test_an_honest_archive_is_right(log: list[int], tmp_path: Path):
    outcome = verified(tmp_path / "outside")
    assert outcome.findings == []
    assert (outcome.checked_events, outcome.archived_events) == (283, 260)
    fire("alpha", 71)
    seal()
    keep_outside(tmp_path / "outside")
    later = verified(tmp_path / "outside", all_=False)
    assert (later.findings, later.checked_from, later.checked_events) == ([], 283, 4)
    assert later.checkpoints == 2
    archive(10, per_seal=4)
    assert verified(all_=False).findings == []
    assert verified().findings == []


def id_of(kind: str, number: int = 0) -> int:
    return CronEvent.objects.of_type(kind).order_by("id")[number].id


@pytest.mark.parametrize("kind", ["cron_registered", "runner_started", "all_paused"])
def test_a_row_that_stayed_and_was_changed_is_found(log: list[int], kind: str):
    changed = id_of(kind)
    tampered(f"UPDATE rqcron_event SET actor = 'mallory' WHERE id = {changed}")
    assert found() == [(Kind.DIFFERS, changed)]


def test_a_row_that_should_have_stayed_and_is_gone_is_found(log: list[int]):
    last = CronSegment.objects.order_by("size").last().last_id
    decided = CronEvent.objects.decisions().filter(id__lte=last).order_by("-id").first()
    of_run = CronEvent.objects.for_run(decided.run_id).order_by("-id").first()
    wanted = [id_of("cron_registered"), id_of("runner_started"), id_of("all_paused"), decided.id]
    wanted += [of_run.id] if of_run.id <= last else []
    for gone in wanted:
        execute("SAVEPOINT before")
        # The triggers let it go: it is archived.
        execute(f"DELETE FROM rqcron_event WHERE id = {gone}")
        assert found(remember=False) == [(Kind.MISSING, gone)]
        execute("ROLLBACK TO before")
    assert found() == []


def insert(event_id: int, version: int) -> None:
    columns = "reason, actor, occurred_at, data, recorded_at, schema_version, type, cron, stream"
    generated = "OVERRIDING SYSTEM VALUE " if connection.vendor == "postgresql" else ""
    tampered(
        f"INSERT INTO rqcron_event (id, version, {columns}) {generated}"
        f"SELECT {event_id}, {version}, {columns} FROM rqcron_event "
        f"WHERE id = {id_of('cron_registered')}"
    )


def test_a_row_that_no_segment_has_is_found(log: list[int]):
    free = next(id_ for id_ in log if not CronEvent.objects.filter(id=id_).exists())
    insert(free, 999)
    assert found() == [(Kind.DIFFERS, free)]
    tampered(f"DELETE FROM rqcron_event WHERE id = {free}")
    insert(-5, 998)
    assert found() == [(Kind.ADDED, -5)]


def test_a_row_that_is_gone_and_was_not_archived_is_found(log: list[int]):
    tampered(f"DELETE FROM rqcron_event WHERE id = {log[270]}")
    assert found() == [(Kind.MISSING, log[269])]


def test_a_segment_that_the_database_does_not_know_any_more_is_found(log: list[int]):
    tampered("DELETE FROM rqcron_segment WHERE first = 130")
    outcome = verified()
    assert [finding.kind for finding in outcome.findings] == [Kind.MISSING]
    # Its newest decision went with the rows of the second one.
    assert outcome.findings[0].leaf == 127


def test_what_is_out_of_reach_is_said_and_all_else_is_compared(log: list[int], directory: Path):
    first, second = CronSegment.objects.order_by("size")
    (directory / first.path).unlink()
    forget_files()
    outcome = verified()
    assert outcome.findings == []
    assert len(outcome.unchecked) == 1
    assert first.path in outcome.unchecked[0]
    assert (outcome.checked_events, outcome.archived_events) == (153, 260)
    out = io.StringIO()
    call_command("cron_verify", "--all", stdout=out)
    assert f"NOT CHECKED: Segment {first.path}" in out.getvalue()
    assert "are what was sealed but for what was not checked" in out.getvalue()
    changed = CronEvent.objects.filter(id__lte=second.last_id, id__gt=first.last_id).first()
    tampered(f"UPDATE rqcron_event SET actor = 'mallory' WHERE id = {changed.id}")
    assert found() == [(Kind.DIFFERS, changed.id)]


def test_a_segment_that_is_damaged_is_found_and_the_next_one_compared(
    log: list[int], directory: Path
):
    first, _second = CronSegment.objects.order_by("size")
    content = bytearray((directory / first.path).read_bytes())
    content[-30] ^= 1
    (directory / first.path).write_bytes(bytes(content))
    forget_files()
    outcome = verified()
    assert [(item.kind, item.event_id) for item in outcome.findings] == [
        (Kind.SEGMENT, first.first_id)
    ]
    assert first.path in outcome.findings[0].text
    assert outcome.checked_events == 153


def test_a_segment_that_was_made_anew_with_the_key_is_found_by_what_is_outside(
    log: list[int], directory: Path, tmp_path: Path
):
    """The owner of the database has the key, changes an archived event, and signs what follows from it."""
    first, _second = CronSegment.objects.order_by("size")
    rows = [row_of(line) for line in lines_of(first)]
    gone = next(row for row in rows if not CronEvent.objects.filter(id=row[0]).exists())
    at = rows.index(gone)
    rows[at] = (*gone[:10], "mallory", *gone[11:])
    writer = SegmentWriter(io.BytesIO(), Frontier())
    writer.add(rows)
    note = KEY.signed(Checkpoint(KEY.name, first.size, writer.tree.root()).text)
    out = io.BytesIO()
    writer.finish(out, KEY.name, note)
    (directory / first.path).write_bytes(out.getvalue())
    hash_ = hashlib.sha256(out.getvalue()).hexdigest()
    tampered(f"UPDATE rqcron_segment SET sha256 = '{hash_}' WHERE first = 0")
    forget_files()
    alone = verified(remember=False)
    assert [finding.kind for finding in alone.findings] == [Kind.SEAL]
    outcome = verified(tmp_path / "outside")
    assert [(item.kind, item.event_id, item.leaf) for item in outcome.findings] == [
        (Kind.DIFFERS, gone[0], at)
    ]


def test_a_tile_above_archived_events_that_is_damaged_is_found(log: list[int]):
    tile = CronTile.objects.get(path="1/000")
    CronTile.objects.filter(path="1/000").update(hashes=b"\x01" * len(tile.hashes))
    assert [kind for kind, _ in found()][:1] == [Kind.TILE]


def test_the_answer_as_json_says_what_was_not_compared(log: list[int], directory: Path):
    unreachable(directory)
    forget_files()
    data = verified().to_data()
    assert (data["ok"], data["archived_events"], len(data["unchecked"])) == (True, 260, 2)
    assert data["checked_events"] == 23


def test_an_archived_event_is_proved_by_its_segment(
    log: list[int], directory: Path, tmp_path: Path
):
    wanted = [log[5], log[140], log[-1]]
    found = proof_of(wanted, KEY.verifier)
    assert [event["index"] for event in found["events"]] == [5, 140, 282]
    file = tmp_path / "proof.json"
    file.write_text(json.dumps(found))
    done = check(file)
    assert (done.returncode, "OK: " in done.stderr) == (0, True), done.stderr
    unreachable(directory)
    forget_files()
    with pytest.raises(SegmentUnavailable, match="segments/"):
        proof_of(wanted, KEY.verifier)
