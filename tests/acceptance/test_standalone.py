"""cron_standalone, as a developer uses it: real processes, a real Redis server."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from redis import Redis

from rqcron_events.models import CronEvent
from rqcron_events.standalone.redis_server import Address, StandaloneError, server_config
from tests.processes import Process, Project

STOPPED = "Stopped.\n"
WEB_PROJECT = """
from django.http import HttpResponse
from django.urls import path
from tests.settings import *

ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = __name__
urlpatterns = [path("", lambda request: HttpResponse("the project's page"))]
"""


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def without_redis(project: Project, free_port: int) -> Project:
    """The project's settings name a Redis that nobody has started."""
    project.environment["REDIS_URL"] = f"redis://127.0.0.1:{free_port}/0"
    return project


def start(project: Project, *options: str) -> Process:
    """Start it, and wait until all its parts are up and a cron has run."""
    process = project.start("cron_standalone", *options)
    project.wait_until(lambda: "Ctrl-C ends" in process.output or process.poll())
    project.wait_until(CronEvent.objects.of_type("run_succeeded").exists)
    return process


def test_it_starts_a_redis_where_the_settings_say_and_runs_crons(
    without_redis: Project, free_port: int
) -> None:
    process = start(without_redis)
    with Redis(port=free_port) as connection:
        assert connection.ping()
    assert f"redis     redis://127.0.0.1:{free_port}/0, started here" in process.output
    assert "worker    queues default, high, low; carries a runner" in process.output
    assert process.stop() == 0
    assert process.members() == []
    assert process.output.endswith(STOPPED)
    assert not CronEvent.objects.of_type("runner_lost").exists()


def test_a_redis_that_answers_is_used_and_left_alone(
    project: Project, redis_connection: Redis
) -> None:
    process = start(project)
    assert "which was running already" in process.output
    assert process.stop() == 0
    assert redis_connection.ping()


def test_it_serves_the_pages_of_the_project(
    without_redis: Project, free_port: int, tmp_path: Path
) -> None:
    (tmp_path / "web_project.py").write_text(WEB_PROJECT)
    without_redis.environment["DJANGO_SETTINGS_MODULE"] = "web_project"
    without_redis.environment["PYTHONPATH"] += os.pathsep + str(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    process = start(without_redis, "--web", str(port), "--queues", "default")

    def page() -> bytes:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                return answer.read()
        except urllib.error.URLError:  # it is still starting
            return b""

    assert without_redis.wait_until(page) == b"the project's page"
    assert f"web       http://127.0.0.1:{port}/" in process.output
    assert process.stop() == 0
    assert process.members() == []


def test_it_ends_by_itself_after_the_given_time(without_redis: Project) -> None:
    process = without_redis.start("cron_standalone", "--seconds", "2", "--workers", "2")
    assert process.wait(60) == 0
    assert "worker 2  queues" in process.output
    assert process.output.endswith(STOPPED)
    assert process.members() == []


def test_ctrl_c_ends_it_too(without_redis: Project) -> None:
    process = start(without_redis)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    assert process.members() == []


@pytest.mark.parametrize(
    ("command", "name"), [("cron_worker", "worker"), ("valkey-server", "redis")]
)
def test_when_a_part_dies_it_says_which_and_ends_the_rest(
    without_redis: Project, command: str, name: str
) -> None:
    process = start(without_redis)
    process.child(command).kill()
    assert process.wait(60) == 1
    assert f"{name} (process " in process.output
    assert "ended by itself: was killed by SIGKILL." in process.output
    # The dead part's own children are reaped by the system, not by us.
    without_redis.wait_until(lambda: not process.members())


def test_no_part_outlives_a_killed_parent(without_redis: Project) -> None:
    process = start(without_redis)
    assert len(process.members()) >= 4  # itself, Redis, the worker, the runner
    process.kill()
    process.wait()
    without_redis.wait_until(lambda: not process.members())


def test_a_password_works_and_is_not_shown(without_redis: Project, free_port: int) -> None:
    url = f"redis://:se%20%22cret@127.0.0.1:{free_port}/3"
    without_redis.environment["REDIS_URL"] = url
    process = start(without_redis)
    command_lines: list[str] = []
    for member in process.members():
        with suppress(psutil.NoSuchProcess):  # a job's process ends by itself
            command_lines += member.cmdline()
    assert process.stop() == 0
    assert f"redis://:***@127.0.0.1:{free_port}/3" in process.output
    assert "cret" not in "".join([process.output, *command_lines])


@pytest.mark.parametrize(
    ("environment", "options", "error"),
    [
        (
            {"REDIS_URL": "redis://:secret@redis.invalid:6379/0"},
            [],
            "CommandError: Redis at redis://:***@redis.invalid:6379/0 (RQ_QUEUES['default']) does "
            "not answer, and a server can be started only on this machine, without TLS or "
            "Sentinel. Start that Redis, or set the queue's URL to redis://127.0.0.1:6379/0 for "
            "development.",
        ),
        (
            {"REDIS_URL": "redis://127.0.0.1:port/0"},
            [],
            "CommandError: RQ_QUEUES['default'] gives no address (ValueError). Set its URL to "
            "redis://127.0.0.1:6379/0, or its HOST, PORT and DB.",
        ),
        (
            {},
            ["--queues", "lwo"],
            "CommandError: Queue 'lwo' is not in RQ_QUEUES; use one of default, high, low.",
        ),
    ],
    ids=["redis elsewhere", "no address", "no such queue"],
)
def test_what_is_missing_is_one_line_with_the_remedy(
    project: Project, environment: dict[str, str], options: list[str], error: str
) -> None:
    done = project.run("cron_standalone", *options, **environment)
    assert done.returncode == 1
    assert done.stderr == error + "\n"


def test_missing_tables_are_one_line_with_the_remedy(project: Project, tmp_path: Path) -> None:
    done = project.run("cron_standalone", DATABASE_URL=f"sqlite://{tmp_path}/empty.sqlite3")
    assert done.returncode == 1
    assert done.stderr == (
        "CommandError: Database 'default' lacks tables of rqcron-events: run manage.py migrate\n"
    )


def test_a_missing_server_is_one_line_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(StandaloneError) as caught:
        server_config(Address(queue="default", host="127.0.0.1", port=6379))
    assert str(caught.value) == (
        "Redis at redis://127.0.0.1:6379/0 does not answer, and no server is installed to start "
        "there. Start that Redis, or run: pip install 'rqcron-events[standalone]'"
    )
