"""A runner in this process, with a registry and a clock of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from rq import Worker

from rqcron_events import worker as worker_module
from rqcron_events.core.repair import Patience
from rqcron_events.ledger.backend import backend_of
from rqcron_events.queries import code_in_force
from rqcron_events.registry import Registry
from rqcron_events.runner import reconciler
from rqcron_events.runner import runner as runner_module
from rqcron_events.runner.runner import Runner
from rqcron_events.testing import FakeClock

START = datetime(2026, 3, 2, 9, 0, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def clock() -> Iterator[FakeClock]:
    with FakeClock(START) as fake:
        yield fake


@pytest.fixture
def crons(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The crons of the code; change it between two runners to deploy."""
    registry = Registry(discovered=True)
    monkeypatch.setattr(runner_module, "registry", registry)
    monkeypatch.setattr(worker_module, "registry", registry)
    monkeypatch.setattr(code_in_force, "registry", registry)
    return registry


@pytest.fixture
def add(crons: Registry) -> Callable[..., None]:
    """``add("name", every=...)`` registers a function that returns None."""

    def add_cron(name: str, function: Any = None, **options: Any) -> None:
        def nothing() -> None:
            return None

        crons.crons.pop(name, None)
        crons.add(name, function or nothing, options)
        assert not crons.problems, crons.problems

    return add_cron


@pytest.fixture
def rows_of_before(db: None) -> None:
    """The table takes any row, as before the CHECKs: what was let in then is still there."""
    backend_of(connection).remove_checks(connection)


@pytest.fixture
def served(redis_connection: Any) -> Worker:
    """A worker of RQ's that was born for all queues, and does nothing."""
    worker = Worker(list(settings.RQ_QUEUES), connection=redis_connection)
    worker.register_birth()
    return worker


@pytest.fixture
def deploy(db: None, served: Worker, clock: FakeClock) -> Callable[[], Runner]:
    """``deploy()`` starts a runner with the crons as they are now; the one before is gone."""
    runners: list[Runner] = []

    def start() -> Runner:
        if runners:
            runners[-1].lease.release()
        runner = Runner()
        runner.start()
        runner.tick()
        runners.append(runner)
        return runner

    return start


@pytest.fixture
def rq_believed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job ended long ago by the test's clock, but just now by Redis'."""
    monkeypatch.setattr(reconciler, "Patience", partial(Patience, callback=timedelta(0)))
