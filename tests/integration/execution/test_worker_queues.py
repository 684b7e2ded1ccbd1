"""``cron_worker`` without arguments serves what the crons need."""

from __future__ import annotations

import pytest
from django.core.management import call_command

from rqcron_events.execution.cron_worker import embedded_runner
from rqcron_events.management.commands import cron_worker


@pytest.fixture
def worked(monkeypatch, crons):
    """What RQ's worker would be told."""
    monkeypatch.setattr(embedded_runner, "registry", crons)
    for name in ("log_to_stderr", "setup_loghandlers"):  # of the whole process
        monkeypatch.setattr(cron_worker, name, lambda _: None)
    told = []
    monkeypatch.setattr(
        embedded_runner, "work", lambda queues, *, burst, options: told.append((queues, options))
    )
    return told


@pytest.mark.parametrize(
    ("needed", "served"),
    [
        ((), ["default"]),
        (("low",), ["low"]),
        (("low", "default", "high"), ["default", "high", "low"]),
    ],
)
def test_in_the_order_of_rq_queues_and_with_the_scheduler(add, worked, needed, served):
    for queue in needed:
        add(f"on_{queue}", queue=queue)
    call_command("cron_worker")
    ((queues, options),) = worked
    assert (queues, options["with_scheduler"]) == (served, True)


def test_queues_that_are_named_are_served_as_named(add, worked):
    add("report", queue="high")
    call_command("cron_worker", "low", "default")
    ((queues, options),) = worked
    assert (queues, options["with_scheduler"]) == (["low", "default"], False)
