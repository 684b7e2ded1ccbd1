"""Behind a pool or a pooler: runner, worker, list and replay, as real processes."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.db import connection

from rqcron_events.models import CronEvent
from tests.processes import Project
from tests.servers import free_port

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
START_SECONDS_MAX = 10


@pytest.fixture
def postgresql() -> None:
    """Not collected on SQLite, which needs neither."""


@pytest.fixture
def pool_of_one(postgresql, project: Project) -> None:
    url = project.environment["DATABASE_URL"]
    project.environment["DATABASE_URL"] = f"{url}{'&' if '?' in url else '?'}pool=1"


@pytest.fixture
def pgbouncer(postgresql, project: Project) -> Iterator[None]:
    """PgBouncer that pools transactions, with fewer connections than there are clients."""
    assert PGBOUNCER, "pgbouncer is not installed; on Debian: apt-get install pgbouncer"
    directory = Path(tempfile.mkdtemp(prefix="rqcron-pgbouncer-"))
    database, port = connection.settings_dict, free_port()
    target = {
        "host": database["HOST"], "port": database["PORT"], "dbname": database["NAME"],
        "user": database["USER"], "password": database["PASSWORD"],
    }  # fmt: skip
    (directory / "users").write_text(f'"{database["USER"]}" "{database["PASSWORD"]}"\n')
    (directory / "ini").write_text(
        "[databases]\nshop = "
        + " ".join(f"{key}={value}" for key, value in target.items() if value)
        + f"\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = any\nauth_file = {directory}/users\npool_mode = transaction\n"
        "default_pool_size = 3\nserver_round_robin = 1\nlogfile = \n"
        f"admin_users = {database['USER']}\n"
    )
    as_user = {}
    if os.geteuid() == 0:  # it refuses to run as root
        socket = Path(str(database["HOST"]))  # where PostgreSQL is may be its user's alone
        user = socket.stat().st_uid if socket.is_absolute() else pwd.getpwnam("nobody").pw_uid
        as_user = {"user": user, "group": pwd.getpwuid(user).pw_gid, "extra_groups": []}
        directory.chmod(0o755)
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [PGBOUNCER, str(directory / "ini")], stdout=subprocess.DEVNULL, stderr=log, **as_user
        )
    try:
        url = f"postgresql://{database['USER']}@127.0.0.1:{port}/shop"
        _wait_for(url, process, directory / "log")
        project.environment["DATABASE_URL"] = f"{url}?pooler=1"
        yield
    finally:
        process.kill()
        process.wait(START_SECONDS_MAX)
        shutil.rmtree(directory)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
            return
        except psycopg.OperationalError as error:
            assert process.poll() is None and time.monotonic() < deadline, (
                f"{error}\n{log.read_text()}"
            )
            time.sleep(0.05)


def runs_and_is_shown(project: Project) -> None:
    """The whole flow: decided, run, followed by the projections, listed, replayed, audited,
    checked."""
    worker = project.start("cron_worker", "default", "low", "high")
    succeeded = CronEvent.objects.of_type("run_succeeded").for_cron("quick")
    project.wait_until(lambda: succeeded.count() >= 3)

    def listed() -> bool:
        told = project.run("cron_list", "--format", "json")
        assert told.returncode == 0, told.stderr
        return any(
            row["name"] == "quick" and "succeeded" in json.dumps(row)
            for row in json.loads(told.stdout)
        )

    project.wait_until(listed)
    for command in (
        ("cron_replay",),
        ("cron_replay", "--check"),
        ("cron_history", "quick"),
        ("cron_audit",),
        ("check", "--database", "default"),
    ):
        told = project.run(*command)
        assert told.returncode == 0, f"{command}\n{told.stdout}\n{told.stderr}"
        assert "W00" not in told.stderr, told.stderr
    assert worker.stop() == 0
    for word in ("follower_failed", "Follower", "does not answer", "A tick failed"):
        assert word not in worker.output, worker.output


def test_a_pool_of_one_connection_is_enough(pool_of_one, project: Project):
    runs_and_is_shown(project)


def test_pgbouncer_may_pool_transactions(pgbouncer, project: Project):
    runs_and_is_shown(project)


def test_the_check_names_a_pooler_that_breaks_server_side_cursors(pgbouncer, project: Project):
    project.environment["DATABASE_URL"] = project.environment["DATABASE_URL"].partition("?")[0]
    told = project.run("check", "--database", "default")
    assert "rqcron_events.W006" in told.stderr
    assert "DISABLE_SERVER_SIDE_CURSORS" in told.stderr
