"""What the table does not take as it was given: said by its own error, and nobody else suffers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import DatabaseError, connection, transaction

from rqcron_events.errors import EventRefused, LedgerUnavailable, VersionConflict
from rqcron_events.ledger import store
from rqcron_events.ledger.backend import backend_of
from rqcron_events.models import CronEvent

from .writing import MANY, event, events

pytestmark = pytest.mark.django_db

SWALLOW = {
    "postgresql": """
        CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN IF NEW.stream LIKE 'cron/lost%' THEN RETURN NULL; END IF; RETURN NEW; END $$;
        CREATE TRIGGER swallow BEFORE INSERT ON rqcron_event
        FOR EACH ROW EXECUTE FUNCTION swallow()
    """,
    "sqlite": """
        CREATE TRIGGER swallow BEFORE INSERT ON rqcron_event WHEN NEW.stream LIKE 'cron/lost%'
        BEGIN SELECT RAISE(IGNORE); END
    """,
}
REPEAT = (
    "SELECT setval(pg_get_serial_sequence('rqcron_event', 'id'), min(id), false) FROM rqcron_event"
)
"""The next id is one that exists."""
RULES = {
    "nothing": "NOTHING",
    "elsewhere": "INSERT INTO elsewhere VALUES (NEW.stream)",
}


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.fixture
def swallowed() -> None:
    execute(SWALLOW[connection.vendor])


# --- rows that were asked for and are not there


@pytest.mark.parametrize("count", [1, MANY], ids=["one event", "many events"])
def test_an_append_whose_rows_a_trigger_swallowed_is_refused(count, swallowed):
    with pytest.raises(LedgerUnavailable, match=rf"{count} .*stored 0.*check --database"):
        store.append(events("cron/lost", count))
    assert not CronEvent.objects.exists()


def test_one_swallowed_row_takes_the_whole_append_with_it(swallowed):
    with pytest.raises(LedgerUnavailable, match="stored 20"):
        store.append([*events("cron/kept", 20), event("cron/lost")])
    assert not CronEvent.objects.exists()


@pytest.mark.parametrize("count", [1, MANY])
def test_nothing_is_accepted_of_a_batch_whose_rows_were_swallowed(count, swallowed):
    with pytest.raises(LedgerUnavailable, match="stored 0"):
        store.append_batches([[event(f"cron/lost{n}")] for n in range(count)], durable=False)
    assert not CronEvent.objects.exists()


def test_a_swallowed_row_is_no_conflict_when_batches_are_tried_apart(swallowed):
    store.append([event("cron/taken")])
    with pytest.raises(LedgerUnavailable, match="stored 1"):
        store.append_batches(
            [[event("cron/taken")], [event("cron/lost")], [event("cron/kept")]], durable=False
        )
    assert CronEvent.objects.count() == 1


@pytest.mark.parametrize("action", RULES)
def test_a_rule_that_takes_rows_elsewhere_is_noticed(action, postgresql):
    execute("CREATE TABLE elsewhere (stream text)")
    execute(f"CREATE RULE away AS ON INSERT TO rqcron_event DO INSTEAD {RULES[action]}")
    with pytest.raises((LedgerUnavailable, DatabaseError)):
        store.append([event()])
    assert not CronEvent.objects.exists()


# --- errors that are no conflict of versions


def test_a_sequence_behind_the_newest_id_is_named_with_its_remedy(postgresql):
    store.append(events(count=3))
    execute(REPEAT)
    for write in (
        lambda: store.append([event("cron/beta")]),
        lambda: store.append_batches([[event("cron/beta")]], durable=False),
        lambda: store.append_next([event("cron/beta")]),
    ):
        execute(REPEAT)
        with pytest.raises(LedgerUnavailable, match=r"behind.*setval\("):
            write()


def test_a_version_that_is_taken_is_still_a_conflict():
    store.append([event()])
    with pytest.raises(VersionConflict):
        store.append([event()])


@pytest.fixture
def foreign_constraint() -> Iterator[None]:
    """Somebody's own: the words of one cron are not taken."""
    if connection.vendor == "postgresql":
        execute("ALTER TABLE rqcron_event ADD CONSTRAINT no_bad CHECK (reason <> 'bad')")
    else:
        execute(
            "CREATE TRIGGER no_bad BEFORE INSERT ON rqcron_event WHEN NEW.reason = 'bad' "
            "BEGIN SELECT RAISE(ABORT, 'no_bad'); END"
        )
    yield


def test_an_event_that_a_constraint_refuses_is_no_conflict(foreign_constraint):
    with pytest.raises(EventRefused, match=r"'cron/alpha'.*no_bad"):
        store.append([event(reason="bad")])


@pytest.mark.parametrize("count", [2, 3 * MANY], ids=["few", "many"])
def test_a_batch_that_a_constraint_refuses_stops_no_other(count, foreign_constraint):
    batches = [[event(f"cron/{number}")] for number in range(count)]
    two = events("cron/two", 2)
    result = store.append_batches(
        [*batches, [event("cron/bad", reason="bad")], two, events("cron/worse", 2, 0)],
        durable=False,
    )
    assert len(result.accepted) == count + 1
    assert sorted(unfit.batch[0].stream for unfit in result.unfit) == ["cron/bad", "cron/worse"]
    assert result.refused == []
    assert CronEvent.objects.count() == count + 2


UNFIT = {
    "no JSON": {"data": {"value": float("nan")}},
    "no value of JSON": {"data": {"value": object()}},
    "a lone surrogate": {"reason": "\ud800"},
}


@pytest.mark.parametrize("why", UNFIT)
def test_an_event_that_cannot_be_written_stops_no_other(why):
    batches = [[event(f"cron/{number}")] for number in range(MANY)]
    bad = event("cron/bad", **UNFIT[why])
    result = store.append_batches([*batches, [bad]], durable=False)
    assert [unfit.batch for unfit in result.unfit] == [[bad]]
    assert len(result.accepted) == MANY


def test_appending_next_writes_the_others_before_it_names_the_event_that_was_refused():
    with pytest.raises(EventRefused, match="cron/bad"):
        store.append_next(
            [event("cron/good", 0), event("cron/bad", 0, data={"value": float("inf")})]
        )
    assert len(store.read_stream("cron/good")) == 1


# --- readers


@pytest.mark.parametrize("change", ["CACHE 20", "INCREMENT -1 MAXVALUE 1000000000"])
def test_a_sequence_whose_ids_do_not_grow_is_refused_by_readers(change, postgresql):
    store.append([event()])
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_serial_sequence('rqcron_event', 'id')")
        name = cursor.fetchone()[0]
    execute(f"ALTER SEQUENCE {name} {change}")
    with pytest.raises(LedgerUnavailable, match=r"ALTER SEQUENCE .* CACHE 1 INCREMENT 1"):
        store.fence()


def test_a_sequence_behind_the_newest_id_is_refused_by_readers(postgresql):
    store.append(events(count=3))
    execute(REPEAT)
    with pytest.raises(LedgerUnavailable, match=r"behind.*setval\("):
        store.fence()


def test_no_id_can_be_given_by_a_statement():
    store.append(events(count=3))
    for number in (-1, 0, 2, 3):
        with pytest.raises(DatabaseError), transaction.atomic():
            execute(
                "INSERT INTO rqcron_event (id, stream, version, type, schema_version, cron, reason, "
                f"actor, occurred_at, data) SELECT {number}, 'cron/x', {number + 9}, type, 1, 'x', "
                "'', '', occurred_at, data FROM rqcron_event WHERE version = 1"
            )
    store.append([event("cron/after")])
    assert backend_of(connection).problems(connection) == []
