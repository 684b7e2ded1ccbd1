"""A job that this code does not know is given back for so many seconds, and not for so many times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from rq import SimpleWorker
from rq.job import Job

from rqcron_events.core.definition import Definition
from rqcron_events.execution.enqueuer import META_KEY, Enqueuer, RunRequest, job_id
from rqcron_events.execution.redis_clock import redis_seconds
from rqcron_events.models import CronEvent
from rqcron_events.worker import GIVEN_BACK_SINCE

SECONDS = 1_000
RUN = UUID(int=11)


@pytest.fixture
def work(transactional_db, redis_connection, crons, settings):
    """``work(ago, times)``: a worker takes the job, which was given back so often since then; returns its
    end, or None when the job waits for another worker."""
    settings.RQCRON_GIVE_BACK_SECONDS = SECONDS
    definition = Definition(name="stranger", function="nowhere:f", expression="* * * * *")
    enqueuer = Enqueuer()
    ((result,),) = enqueuer.enqueue([RunRequest(run_id=RUN, definition=definition, slot=None)])
    assert not result.error
    queue = enqueuer.queue("default")

    def run(ago: float, times: int) -> CronEvent | None:
        job = Job.fetch(job_id(RUN), connection=redis_connection)
        now = datetime.fromtimestamp(redis_seconds(redis_connection), UTC)
        since = now - timedelta(seconds=ago)
        job.meta[META_KEY] |= {"given_back": times, GIVEN_BACK_SINCE: since.isoformat()}
        job.save_meta()
        SimpleWorker([queue], connection=redis_connection).work(burst=True, max_jobs=1)
        end = CronEvent.objects.for_run(RUN).outcomes().first()
        assert (job.id in queue.scheduled_job_registry.get_job_ids()) is (end is None)
        return end

    return run


def test_it_is_given_back_however_often_while_the_seconds_have_not_passed(work):
    assert work(SECONDS / 2, times=10 * SECONDS) is None


def test_it_fails_when_they_have_passed_however_seldom_it_was_given_back(work):
    failed = work(SECONDS, times=0)
    assert (failed.type, failed.reason) == ("run_failed", "not_registered")
