"""What is loaded when: a process of its own, because pytest has everything loaded."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.processes import ROOT, Project

WITHOUT_REDIS = """
import sys
sys.modules["opentelemetry"] = None
import redis  # which loads it where it finds it
del sys.modules["opentelemetry"]
"""

FORKS = f"""
{WITHOUT_REDIS}
import os, sys
import django
django.setup()
from django.conf import settings
from django.db import connection, connections
from redis import Redis
from rq import Queue, Worker


def tell(where):
    loaded = os.environ["LOOK_FOR"] in sys.modules
    print(where, loaded, connection.connection is None, flush=True)


class Tells(Worker):
    def main_work_horse(self, job, queue):
        tell("work-horse")
        os._exit(0)


tell("start")
child = os.fork()
if child == 0:
    tell("another child")
    os._exit(0)
os.waitpid(child, 0)
queue = Queue(connection=Redis.from_url(settings.REDIS_URL))
worker = Tells([queue])
for _ in range(2):
    worker.fork_work_horse(queue.create_job(print), queue)
    worker.wait_for_horse()
tell("worker")
"""


def forked(project: Project, look_for: str, **environment: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", FORKS],
        cwd=ROOT,
        env={
            **project.environment,
            "TEST_APPS": "tests.many_app",
            "LOOK_FOR": look_for,
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.splitlines()


def test_a_worker_that_forks_loads_what_its_work_horses_need_before_and_connects_to_nothing(
    project: Project,
):
    assert forked(project, "rqcron_events.worker") == [
        "start False True",
        "another child False True",
        "work-horse True True",
        "work-horse True True",
        "worker True True",
    ]


@pytest.mark.parametrize("traces", [True, False])
def test_opentelemetry_is_loaded_where_a_function_goes_on_with_a_trace_and_nowhere_else(
    project: Project, traces: bool
):
    loaded = forked(project, "opentelemetry.trace", TEST_TRACES=json.dumps(traces))
    assert loaded == [
        "start False True",
        "another child False True",
        f"work-horse {traces} True",
        f"work-horse {traces} True",
        f"worker {traces} True",
    ]


RUNNER = f"""
{WITHOUT_REDIS}
import django
django.setup()
import rqcron_events.runner.loop, rqcron_events.execution.enqueuer
from rqcron_events.followers import followers
print("traces" in followers, "opentelemetry" in sys.modules)
"""


def test_who_decides_does_not_load_opentelemetry(project: Project):
    done = subprocess.run(
        [sys.executable, "-c", RUNNER],
        cwd=ROOT,
        env={**project.environment, "TEST_TRACES": "true"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "True False\n"
