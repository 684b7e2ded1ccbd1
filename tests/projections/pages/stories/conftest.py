"""Crons that really ran: a runner and a worker in this process, with a clock that the test sets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.http import HttpResponse
from rq import Queue, SimpleWorker
from rqcron_projections.projector import catch_up

from tests.integration.conftest import add, clock, crons, deploy, rows_of_before, served  # noqa: F401

MINUTE = timedelta(minutes=1)


def checked(response: HttpResponse, status: int = 200) -> str:
    """The page, in which nothing stands that a strict Content-Security-Policy forbids."""
    text = response.content.decode()
    assert response.status_code == status, text
    for forbidden in (" style=", "<style", "<script>", "javascript:", " onclick=", " onsubmit="):
        assert forbidden not in text, forbidden
    return text


def slot(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-02T{text}").replace(tzinfo=UTC)


@pytest.fixture
def work(redis_connection) -> Callable[[], None]:
    """Do what is in the queue, in this process."""

    def work_off() -> None:
        queue = Queue("default", connection=redis_connection)
        worker = SimpleWorker([queue], connection=redis_connection)
        while queue.job_ids:  # as work(burst=True), without what is around it
            worker.execute_job(queue.fetch_job(queue.pop_job_id()), queue)
        catch_up()

    return work_off


@pytest.fixture
def live(deploy, clock, work) -> Callable[..., None]:  # noqa: F811
    """``live(3)``: three minutes pass; what comes due fires, and is worked off at their end."""
    runners: list = []

    def pass_minutes(count: int = 1) -> None:
        if not runners:
            runners.append(deploy())
        for _ in range(count):
            clock.advance(MINUTE)
            runners[0].tick()
        work()

    return pass_minutes
