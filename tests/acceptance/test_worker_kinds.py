"""Workers of other kinds than RQ's default one, as real processes."""

from __future__ import annotations

from rqcron_events.models import CronEvent
from tests.processes import Project

JSON = "rq.serializers.JSONSerializer"


def ends_of_quick(project: Project) -> set[str]:
    """How its first runs ended: ``quick`` is due every second."""
    ends = CronEvent.objects.outcomes().for_cron("quick")
    project.wait_until(lambda: ends.count() >= 1)
    return set(ends.values_list("type", flat=True))


def test_a_worker_that_spawns_its_work_horses_runs_crons(project: Project):
    """They import the job before anybody has set Django up."""
    project.start("cron_worker", "default", "high", "--worker-class", "rq.worker.SpawnWorker")
    assert ends_of_quick(project) == {"run_succeeded"}


def test_a_worker_takes_the_serializer_of_its_queues(project: Project):
    worker = project.start("cron_worker", "default", "high", TEST_SERIALIZER=JSON)
    assert ends_of_quick(project) == {"run_succeeded"}
    assert worker.stop() == 0


def test_a_worker_without_the_serializer_of_its_queue_is_told_by_health_and_check(
    project: Project,
):
    project.environment["TEST_SERIALIZER"] = JSON
    project.start("cron_run")
    project.start("rqworker", "default", "high")
    assert ends_of_quick(project) == {"run_failed"}
    failed = CronEvent.objects.of_type("run_failed").for_cron("quick").first()
    assert "started without the SERIALIZER" in failed.to_event().data["error"]["message"]
    told = project.run("cron_health")
    assert told.returncode == 1
    assert "rqworker --serializer" in told.stdout
    told = project.run("check")
    assert f"rqworker --serializer {JSON}" in told.stderr
    assert "rqcron_events.I001" in told.stderr


def test_a_worker_with_another_serializer_than_its_queue_is_refused(project: Project):
    told = project.run("cron_worker", "--serializer", "json")
    assert told.returncode == 1
    assert "Queue 'default' has SERIALIZER pickle in RQ_QUEUES" in told.stderr
