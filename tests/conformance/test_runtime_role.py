"""docs/hardening.md: a role that writes events, and can do nothing else to them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction

from rqcron_events.checks import check_tables
from rqcron_events.ledger import store
from rqcron_events.ledger.cron_states import States
from rqcron_events.models import CronEvent
from rqcron_events.testing import FakeClock
from tests.archive_pass import archive_all, use_archive
from tests.conformance.writing import MANY, event, events
from tests.sealing import history

ROOT = Path(__file__).parents[2]


def granted() -> list[str]:
    """To the role, and to one that archives."""
    page = (ROOT / "docs/hardening.md").read_text()
    return re.findall(r"```sql\n(.*?)```", page, re.DOTALL)


@pytest.fixture
def runtime_role(postgresql, transactional_db) -> Iterator[None]:
    """This session is one of the role, with exactly the grants of the page."""
    grants, _ = granted()
    with connection.cursor() as cursor:
        cursor.execute(grants)
        cursor.execute("SET ROLE cron_runtime")
    yield
    with connection.cursor() as cursor:
        cursor.execute("RESET ROLE")
        cursor.execute("DROP OWNED BY cron_runtime; DROP ROLE cron_runtime")


def test_the_runner_does_all_its_work_under_the_role(runtime_role, redis_connection):
    from rqcron_events.runner.runner import Runner

    with FakeClock(datetime(2026, 3, 2, 9, 0, tzinfo=UTC)):
        runner = Runner()
        runner.start()
        runner.tick()
    with FakeClock(datetime(2026, 3, 2, 9, 5, tzinfo=UTC)):
        runner.tick()
        runner.states.save_snapshot(runner.lease.confirm)
        runner.stop()
    assert CronEvent.objects.of_type("run_enqueued").exists()
    assert States.load().position
    store.append_batches([events(count=MANY)])
    call_command("cron_replay", verbosity=0)
    call_command("cron_list", verbosity=0)
    assert check_tables(databases=["default"]) == []


FORBIDDEN = {
    "an id": "INSERT INTO rqcron_event (id, stream) OVERRIDING SYSTEM VALUE VALUES (1, 'cron/a')",
    "a time of recording": "INSERT INTO rqcron_event (recorded_at, stream) VALUES (now(), 'cron/a')",
    "a change": "UPDATE rqcron_event SET reason = 'x'",
    "a deletion": "DELETE FROM rqcron_event",
    "an empty table": "TRUNCATE rqcron_event",
    "no trigger": "ALTER TABLE rqcron_event DISABLE TRIGGER ALL",
    "another sequence": "SELECT setval('rqcron_event_id_seq', 1)",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_the_role_may_not(what, runtime_role):
    store.append([event()])
    with (
        pytest.raises(DatabaseError, match=r"permission denied|must be owner"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(FORBIDDEN[what])


def test_a_role_that_archives_deletes_what_is_archived_and_nothing_else(
    runtime_role, settings, tmp_path
):
    use_archive(settings, tmp_path)
    with connection.cursor() as cursor:
        cursor.execute("RESET ROLE")
        cursor.execute(granted()[1])
        cursor.execute("SET ROLE cron_runtime")
    history("alpha", runs=3)
    done = archive_all()
    assert (done.removed_rows, len(done.segments)) == (8, 1)
    with (
        pytest.raises(DatabaseError, match="append-only: DELETE refused"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(FORBIDDEN["a deletion"])
