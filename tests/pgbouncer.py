"""A real PgBouncer before a database."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests.servers import free_port
from tests.system_packages import require

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
START_SECONDS_MAX = 10


@contextmanager
def pooler(mode: str = "transaction", size: int = 3) -> Iterator[str]:
    """The URL of one before the test database. It has so many connections to PostgreSQL, and gives the
    next one to each transaction (or client, as ``mode`` says)."""
    from django.db import connection

    found = PgBouncer(connection.settings_dict, mode, size)
    try:
        found.start()
        with (
            ExitStack() as stack
        ):  # it opens one when none is free, so all have to be taken at once
            for _ in range(size):
                stack.enter_context(psycopg.connect(found.url)).execute("SELECT 1")
        yield found.url
    finally:
        found.close()


def thaw_after(pid: int, seconds: float) -> None:
    """By another process: this one may stand still by then."""
    subprocess.run(
        ["sh", "-c", f"(sleep {seconds}; kill -CONT {pid}) >/dev/null 2>&1 &"],
        check=True,
        start_new_session=True,
    )


class PgBouncer:
    """Its database "shop" is the one that ``target`` (as in Django's DATABASES) names, any other is
    that of this name on the same server."""

    def __init__(self, target: Mapping[str, Any], mode: str, size: int) -> None:
        require("pgbouncer", is_installed=PGBOUNCER is not None)
        self._directory = Path(tempfile.mkdtemp(prefix="rqcron-pgbouncer-"))
        self._process: subprocess.Popen[bytes] | None = None
        port = free_port()
        self.url = f"postgresql://{target['USER']}@127.0.0.1:{port}/shop"
        given = {
            "host": target["HOST"], "port": target["PORT"], "user": target["USER"],
            "password": target["PASSWORD"],
        }  # fmt: skip
        server = " ".join(f"{key}={value}" for key, value in given.items() if value)
        (self._directory / "users").write_text(f'"{target["USER"]}" "{target["PASSWORD"]}"\n')
        (self._directory / "ini").write_text(
            f"[databases]\nshop = {server} dbname={target['NAME']}\n* = {server}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = any\nauth_file = {self._directory}/users\npool_mode = {mode}\n"
            f"default_pool_size = {size}\nserver_round_robin = 1\nserver_login_retry = 1\nlogfile = \n"
            f"admin_users = {target['USER']}\n"
        )
        self._as_user: dict[str, Any] = {}
        if os.geteuid() == 0:  # it refuses to run as root
            socket = Path(str(target["HOST"]))  # where PostgreSQL is may be its user's alone
            user = socket.stat().st_uid if socket.is_absolute() else pwd.getpwnam("nobody").pw_uid
            group = pwd.getpwuid(user).pw_gid
            self._as_user = {"user": user, "group": group, "extra_groups": []}
            self._directory.chmod(0o755)

    def start(self) -> None:
        with (self._directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [str(PGBOUNCER), str(self._directory / "ini")],
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
                **self._as_user,
            )
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self._listens():
            assert self._process.poll() is None and time.monotonic() < deadline, (
                self._directory / "log"
            ).read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(START_SECONDS_MAX)
            self._process = None

    def freeze(self) -> None:
        """As a frozen server: its connections stay open, new ones are taken, and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def thaw_after(self, seconds: float) -> None:
        assert self._process is not None
        thaw_after(self._process.pid, seconds)

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self._directory)

    def _listens(self) -> bool:
        """It answers about itself, whether or not there is a database behind it."""
        try:
            console = self.url.rpartition("/")[0] + "/pgbouncer"
            psycopg.connect(console, connect_timeout=2, autocommit=True).close()
        except psycopg.OperationalError:
            return False
        return True
