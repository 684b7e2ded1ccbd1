"""A real PgBouncer before the test database."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
from django.db import connection

from tests.servers import free_port

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
START_SECONDS_MAX = 10


@contextmanager
def pooler(mode: str = "transaction", size: int = 3) -> Iterator[str]:
    """Its URL. It has so many connections to PostgreSQL, and gives the next one to each transaction
    (or client, as ``mode`` says). Its database "shop" is the test's, any other is that of this name."""
    assert PGBOUNCER, "pgbouncer is not installed; on Debian: apt-get install pgbouncer"
    directory = Path(tempfile.mkdtemp(prefix="rqcron-pgbouncer-"))
    database, port = connection.settings_dict, free_port()
    target = {
        "host": database["HOST"], "port": database["PORT"], "dbname": database["NAME"],
        "user": database["USER"], "password": database["PASSWORD"],
    }  # fmt: skip
    place = " ".join(f"{key}={value}" for key, value in target.items() if value)
    server = place.replace(f"dbname={database['NAME']}", "")
    (directory / "users").write_text(f'"{database["USER"]}" "{database["PASSWORD"]}"\n')
    (directory / "ini").write_text(
        f"[databases]\nshop = {place}\n* = {server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = any\nauth_file = {directory}/users\npool_mode = {mode}\n"
        f"default_pool_size = {size}\nserver_round_robin = 1\nlogfile = \n"
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
        _open_servers(url, size)
        yield url
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


def _open_servers(url: str, size: int) -> None:
    """It opens a connection when none is free, so all of them have to be taken at once."""
    with ExitStack() as stack:
        for _ in range(size):
            stack.enter_context(psycopg.connect(url)).execute("SELECT 1")
