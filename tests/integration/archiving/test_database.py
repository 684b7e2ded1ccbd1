"""The database itself lets go only what is archived, and believes no segment that is not true of the log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from rqcron_events.checks import check_tables
from rqcron_events.models import CronEvent, CronSeal, CronSegment
from tests.archive_pass import archive_all, open_run, rows
from tests.sealing import execute, fire, history, ids, run_of, seal, seal_in_parts

SEGMENT: dict[str, Any] = {"storage": "s", "path": "a.jsonl.gz", "sha256": "0" * 64, "bytes": 1}


def refused(*statement: str, why: str) -> None:
    with pytest.raises(DatabaseError, match=why), transaction.atomic():
        execute(*statement)


def test_rows_past_the_archive_are_refused_and_those_before_it_let_go():
    history("alpha", runs=5)
    archive_all()
    segment = CronSegment.objects.get()
    left = rows()
    refused(f"DELETE FROM rqcron_event WHERE id = {segment.last_id + 1}", why="append-only: DELETE")
    refused("DELETE FROM rqcron_event", why="append-only: DELETE")
    refused(f"DELETE FROM rqcron_event WHERE id <= {segment.last_id + 1}", why="DELETE refused")
    refused(f"UPDATE rqcron_event SET actor = 'x' WHERE id = {left[0][0]}", why="UPDATE")
    assert rows() == left
    execute(f"DELETE FROM rqcron_event WHERE id = {segment.last_id}")
    assert len(rows()) == len(left) - 1


def test_without_a_segment_nothing_goes():
    history("alpha")
    seal()
    refused("DELETE FROM rqcron_event WHERE id = 1 OR version = 1", why="append-only: DELETE")


@pytest.fixture
def right() -> Iterator[dict[str, Any]]:
    """What a segment of the first two seals would say."""
    history("alpha", runs=3)
    seal_in_parts(4)
    seals = list(CronSeal.objects.order_by("size"))
    assert [row.size for row in seals] == [4, 8, 12, 13]
    yield {**SEGMENT, "first": 0, "size": 9 - 1, "first_id": ids()[0], "last_id": seals[1].last_id}
    assert len(ids()) >= 13


def lie(right: dict[str, Any], why: str, **wrong: Any) -> None:
    with pytest.raises(DatabaseError, match=why), transaction.atomic():
        CronSegment.objects.create(**{**right, **wrong})
    assert not CronSegment.objects.filter(size=wrong.get("size", right["size"])).exists()


def test_a_segment_is_taken_only_if_it_is_true_of_the_log(right: dict[str, Any]):
    numbers = ids()
    lie(right, "does not go on from", first=1)
    lie(right, "does not go on from", size=0)
    lie(right, "no seal is of its size", size=9)
    lie(right, "no seal is of its size", last_id=numbers[8])
    lie(right, "the log does not have these events", first_id=numbers[1])
    lie(right, "has to stay", size=13, last_id=numbers[12])
    CronSegment.objects.create(**right)
    lie(right, "does not go on from", first=8, size=4, last_id=numbers[3])
    follows = {**right, "first": 8, "size": 12, "first_id": numbers[8], "last_id": numbers[11]}
    lie(follows, "the log does not have these events", first_id=numbers[0])
    lie(follows, "does not go on from", first=4)
    CronSegment.objects.create(**follows)


def test_a_segment_with_an_open_run_is_not_taken(right: dict[str, Any]):
    open_run("alpha", 4)
    seal()
    fire("beta", 1)
    seal()
    seal_ = CronSeal.objects.order_by("size")[4]
    lie({**right, "size": seal_.size, "last_id": seal_.last_id}, "a run in it is open")
    assert CronEvent.objects.filter(run_id=run_of("alpha", 4)).count() == 2


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE rqcron_segment SET last_id = 1000",
        "UPDATE rqcron_segment SET path = path",
        "DELETE FROM rqcron_segment",
        "INSERT INTO rqcron_segment (first, size, first_id, last_id, storage, path, sha256, bytes) "
        "SELECT size, size + 1, last_id + 1, 10000, storage, path, sha256, bytes FROM rqcron_segment",
    ],
)
def test_segments_are_not_changed_either(statement: str, right: dict[str, Any]):
    CronSegment.objects.create(**right)
    refused(statement, why="rqcron_segment")


@pytest.fixture
def postgresql() -> None:
    """Not collected on SQLite."""


def test_segments_are_not_truncated(right: dict[str, Any], postgresql: None):
    CronSegment.objects.create(**right)
    refused("TRUNCATE rqcron_segment", why="append-only: TRUNCATE")


def test_a_table_of_another_schema_is_not_believed(postgresql: None):
    history("alpha")
    execute(
        "CREATE TEMPORARY TABLE rqcron_segment (last_id bigint)",
        "INSERT INTO rqcron_segment VALUES (1000000)",
    )
    refused("DELETE FROM rqcron_event", why="append-only: DELETE")


TAKEN_OFF = {
    "sqlite": [f"DROP TRIGGER {name}" for name in (
        "rqcron_segment_valid", "rqcron_segment_no_change", "rqcron_segment_no_delete")],
    "postgresql": [
        "ALTER TABLE rqcron_segment DISABLE TRIGGER rqcron_segment_valid",
        "ALTER TABLE rqcron_segment ENABLE TRIGGER rqcron_segment_no_truncate",
        "DROP TRIGGER rqcron_segment_valid ON rqcron_segment",
        "CREATE OR REPLACE FUNCTION rqcron_segment_guard() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN RETURN NEW; END'",
        "CREATE OR REPLACE FUNCTION rqcron_event_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN RETURN OLD; END'",
    ],
}  # fmt: skip


@pytest.mark.parametrize("number", range(5))
def test_check_names_what_was_taken_off(number: int):
    statements = TAKEN_OFF[connection.vendor]
    execute(statements[number % len(statements)])
    found = check_tables(databases=["default"])
    assert {message.id for message in found} == {"rqcron_events.E005"}
    assert "rqcron_segment" in found[0].msg or "rqcron_event_refuse" in found[0].msg
