"""What is loaded when: a process of its own, because pytest has everything loaded."""

from __future__ import annotations

import subprocess
import sys

from tests.processes import ROOT, Project

FORKS = """
import os, sys
import django
django.setup()
from django.conf import settings
from django.db import connection, connections
from redis import Redis
from rq import Queue, Worker


def tell(where):
    loaded = "rqcron_events.worker" in sys.modules
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


def test_a_worker_that_forks_loads_what_its_work_horses_need_before_and_connects_to_nothing(
    project: Project,
):
    done = subprocess.run(
        [sys.executable, "-c", FORKS],
        cwd=ROOT,
        env={**project.environment, "TEST_APPS": "tests.many_app"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "start False True",
        "another child False True",
        "work-horse True True",
        "work-horse True True",
        "worker True True",
    ], done.stderr
