"""Lists of jobs show which cron a job is of."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django_rq.templatetags.django_rq import show_func_name
from rq.job import Job

from rqcron_events import worker
from rqcron_events.core.definition import Definition
from rqcron_events.execution.enqueuer import Enqueuer, RunRequest, job_id


@pytest.mark.parametrize("name", ["send_digest", "shop.orders / sync.all", "a..b", "..", "日報"])
def test_django_rqs_list_shows_the_name_and_rq_finds_the_function(redis_connection, name):
    definition = Definition(name=name, function="nowhere:report", expression="@daily")
    request = RunRequest(run_id=uuid4(), definition=definition, slot=None)
    list(Enqueuer().enqueue([request]))
    job = Job.fetch(job_id(request.run_id), connection=redis_connection)
    assert show_func_name(job) == f"rqcron_events.worker.cron.{name}"
    assert job.func is worker.run_cron


def test_other_names_are_not_there():
    with pytest.raises(AttributeError, match="no attribute 'crn'"):
        worker.crn  # noqa: B018 - the look-up is what is tested
