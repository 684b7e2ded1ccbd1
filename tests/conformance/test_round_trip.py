"""What is written is what is read, and the database alone sets ids and recorded_at."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone as django_timezone

from rqcron_events.core.events import EventType
from rqcron_events.errors import UnreadableEvent
from rqcron_events.ledger import store
from rqcron_events.ledger.doors.rules import TYPES_OF_STREAMS
from rqcron_events.models import CronEvent

from .writing import MANY, NOON, WRITE_PATHS, event, events

pytestmark = pytest.mark.django_db

RUN = UUID("8c9d3a52-6f0e-5b69-9a3e-2a0f5f6e1d11")
STRANGE = "tab\tline\nreturn\rback\\slash \\N \\. quote'\" %s {} ñ 中文 \U0001f680 \u2028"

EXAMPLES = {
    "empty": {},
    "all columns": {
        "run_id": RUN,
        "attempt": 3,
        "scheduled_for": NOON,
        "reason": "overlap",
        "actor": "runner/one",
        "data": {"first": 1},
    },
    "strange text": {"reason": STRANGE, "actor": STRANGE[:100], "data": {STRANGE: [STRANGE]}},
    "empty text": {"reason": "", "actor": "", "data": {"": ""}},
    "nested data": {"data": {"a": [1, 2.5, None, True, {"b": []}], "c": {"d": {"e": "f"}}}},
    "numbers": {"data": {"big": 2**70, "small": -(2**70), "float": 0.1, "tiny": 5e-324}},
    "microseconds": {"occurred_at": datetime(2026, 3, 2, 12, 0, 0, 1, tzinfo=UTC)},
    "another zone": {
        "occurred_at": datetime(
            2026, 3, 2, 17, 45, tzinfo=timezone(timedelta(hours=5, minutes=45))
        ),
        "scheduled_for": datetime(2026, 3, 1, 23, 0, tzinfo=timezone(-timedelta(hours=9))),
    },
    "a far year": {"scheduled_for": datetime(9998, 12, 31, 23, 59, 59, tzinfo=UTC)},
}


@pytest.mark.parametrize("count", [1, MANY], ids=["one event", "many events"])
@pytest.mark.parametrize("example", EXAMPLES)
def test_values_come_back_as_they_were_written(write, example, count):
    given = [
        replace(item, **EXAMPLES[example], type=EventType.SLOT_MISSED)
        for item in events(count=count)
    ]
    write(given)
    found = store.read_stream("cron/alpha")
    assert [replace(item, id=None, recorded_at=None) for item in found] == given
    rows = [item.to_event() for item in CronEvent.objects.order_by("version")]
    assert rows == found


@pytest.mark.parametrize("event_type", EventType)
def test_every_type_comes_back_as_itself(event_type):
    kind = next(kind for kind, types in TYPES_OF_STREAMS.items() if event_type in types)
    stream = {"cron": "cron/alpha", "run": f"run/{RUN}", "runner": "runner/a"}.get(kind, kind)
    run_id = RUN if kind == "run" else None
    store.append([event(stream, type=event_type, run_id=run_id)])
    assert store.read_stream(stream)[0].type is event_type


def test_the_database_sets_id_and_recorded_at(write):
    stale = datetime(2001, 1, 1, tzinfo=UTC)
    earlier = django_timezone.now() - timedelta(minutes=1)
    write([replace(item, id=7, recorded_at=stale) for item in events()])
    found = store.read_stream("cron/alpha")
    assert len({item.id for item in found}) == MANY
    assert all(item.id and item.id >= 1 for item in found)
    assert all(item.recorded_at > earlier and item.recorded_at.tzinfo for item in found)


def test_all_paths_store_the_same_bytes():
    for name, path in WRITE_PATHS.items():
        path([event(f"cron/{name}", **EXAMPLES["all columns"])])
    columns = "type, schema_version, run_id, attempt, scheduled_for, reason, actor, occurred_at"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT DISTINCT {columns} FROM rqcron_event")
        assert len(cursor.fetchall()) == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), NOON, {1, 2}])
def test_values_that_json_does_not_have_are_refused_before_anything_is_written(value):
    with pytest.raises((TypeError, ValueError)):
        store.append([event(data={"value": value})])
    assert not CronEvent.objects.exists()


def test_queries_find_what_raw_inserts_wrote():
    """SQLite compares times and ids as text: both ways of writing must use Django's form."""
    store.append([event("cron/one", run_id=RUN, scheduled_for=NOON, type=EventType.SLOT_SKIPPED)])
    found = CronEvent.objects
    assert found.for_run(RUN).count() == found.for_run(str(RUN)).count() == 1
    assert found.filter(scheduled_for=NOON).decisions().exists()
    assert found.between(NOON, NOON + timedelta(microseconds=1)).exists()
    assert not found.between(None, NOON).exists()
    assert not found.between(NOON + timedelta(microseconds=1), None).exists()


def test_read_stream_returns_what_came_after_a_version():
    store.append(events(count=5))
    assert [item.version for item in store.read_stream("cron/alpha", 3)] == [4, 5]
    assert store.read_stream("cron/unknown") == []


def test_an_event_of_a_newer_release_is_not_guessed_at():
    row = CronEvent(
        stream="cron/s", cron="s", version=1, type="slot_fired", schema_version=99, occurred_at=NOON
    )
    row.save()
    with pytest.raises(UnreadableEvent, match=r"schema version 99.*Upgrade rqcron-events"):
        store.read_stream("cron/s")
