"""A run's first start goes in by one statement, where there is nothing to judge; the full way otherwise."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from rqcron_events.core.events import Event, make
from rqcron_events.ledger import store
from rqcron_events.models import CronEvent

from .writing import NOON, OpenTransaction, Writer

RUN = UUID(int=7)
PLACE = {"cron": "alpha", "run_id": RUN, "slot": NOON, "actor": "worker/1", "at": NOON}
ENQUEUED = make.run_enqueued(queue="default", job_id="job", found="", version=1, **PLACE)
START = make.run_started(
    attempt=1, retries_left=0, job_created_at="", job_enqueued_at="", version=1, **PLACE
)
FAILED = make.run_failed(attempt=1, version=1, **PLACE)


def stored() -> list[tuple[int, str]]:
    rows = CronEvent.objects.filter(stream=START.stream).order_by("version")
    return list(rows.values_list("version", "type"))


@pytest.mark.django_db
@pytest.mark.parametrize("slot", [NOON, None])
@pytest.mark.parametrize("before", [0, 1])
def test_it_is_the_next_one_after_nothing_or_run_enqueued(before: int, slot) -> None:
    start = replace(START, scheduled_for=slot)
    store.append([replace(ENQUEUED, scheduled_for=slot)][:before])
    with CaptureQueriesContext(connection) as statements:
        assert store.append_first_start(start) == before + 1
    assert len(statements) == 1
    event = CronEvent.objects.get(type="run_started").to_event()
    assert event == replace(start, version=before + 1, id=event.id, recorded_at=event.recorded_at)


OTHERWISE: dict[str, list[Event]] = {
    "it has begun": [ENQUEUED, replace(START, version=2)],
    "it has ended": [ENQUEUED, replace(FAILED, version=2)],
    "it ended before it was enqueued": [FAILED, replace(ENQUEUED, version=2)],
    "it was refused first": [
        make.enqueue_failed(
            queue="q", error_type="E", error_message="m", reason="", version=1, **PLACE
        )
    ],
    "another cron": [replace(ENQUEUED, cron="beta")],
    "another slot": [replace(ENQUEUED, scheduled_for=NOON + timedelta(hours=1))],
    "no slot": [replace(ENQUEUED, scheduled_for=None)],
}


@pytest.mark.django_db
@pytest.mark.parametrize("what", OTHERWISE)
def test_whatever_else_there_is_leaves_the_run_alone(what: str) -> None:
    store.append(OTHERWISE[what])
    before = stored()
    assert store.append_first_start(START) is None
    assert stored() == before


@pytest.mark.django_db(transaction=True)
def test_it_waits_for_run_enqueued_that_is_being_written_and_comes_after_it() -> None:
    with OpenTransaction(lambda: store.append([ENQUEUED])) as other:
        writer = Writer(lambda: store.append_first_start(START))
        writer.start()
        other.commit()
        writer.finish()
    assert stored() == [(1, "run_enqueued"), (2, "run_started")]


@pytest.mark.django_db(transaction=True)
def test_of_two_at_once_one_is_written() -> None:
    versions: list[int | None] = []
    writers = [
        Writer(
            lambda n=n: versions.append(
                store.append_first_start(replace(START, actor=f"worker/{n}"))
            )
        )
        for n in range(4)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.finish()
    assert sorted(versions, key=str) == [1, None, None, None]
    assert stored() == [(1, "run_started")]


@pytest.mark.django_db
def test_one_event_is_appended_in_one_statement_where_its_version_is_free() -> None:
    store.append([ENQUEUED, replace(START, version=2)])
    ended = replace(FAILED, version=3)
    with CaptureQueriesContext(connection) as statements:
        assert store.append_free(ended)
    assert len(statements) == 1
    assert not store.append_free(replace(ended, actor="worker/2"))
    assert not store.append_free(replace(ended, version=5))
    assert stored()[2:] == [(3, "run_failed")]
