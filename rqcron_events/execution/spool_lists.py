"""The spool's keys in Redis, where anybody may have written anything.

A list per run, oldest entry first; an index of those runs, the next one to look at first; and a list
of what was refused, newest first. Everything is read by scripts that cut what is too large, so that
it stays in Redis: a leader's memory does not depend on what somebody put there. Redis-py's errors
go through.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any
from uuid import UUID

from redis import Redis
from redis.client import NEVER_DECODE
from redis.exceptions import ResponseError

from .. import clock

__all__ = [
    "ENTRY_BYTES_MAX",
    "INDEX_KEY",
    "REFUSED_KEY",
    "REFUSED_MAX",
    "RUN_ENTRIES_MAX",
    "add",
    "forget",
    "later",
    "length",
    "read",
    "refused_count",
    "remove",
    "run_key",
    "runs",
    "set_aside",
]

log = logging.getLogger(__name__)

INDEX_KEY = "rqcron:spool"
REFUSED_KEY = "rqcron:spool:refused"
REFUSED_MAX = 1_000
KEPT_BYTES = 2_000
"""Of an entry that was refused: enough to see what it was."""
ENTRY_BYTES_MAX = 1_000_000
READ_BYTES_MAX = 2_000_000
"""What one reading brings here, at most, and one entry more."""
RUN_ENTRIES_MAX = 1_000
"""Two for each attempt. A run's own worker adds no more than this, and what is beyond is dropped."""
MEMBERS_LOOKED_AT_MAX = 200
LATER = 1e12
"""Added to the time in the index of a run whose entries have to stay: it goes behind the others."""


def run_key(run_id: UUID) -> str:
    return f"{INDEX_KEY}:{run_id}"


def length(connection: Redis) -> int:
    """Runs whose events wait."""
    return _count(connection.zcard, INDEX_KEY)


def refused_count(connection: Redis) -> int:
    """What was set aside and is kept, REFUSED_MAX at most."""
    return _count(connection.llen, REFUSED_KEY)


def _count(ask: Callable[[str], Any], key: str) -> int:
    try:
        return int(ask(key))
    except ResponseError as error:
        if "WRONGTYPE" not in str(error):
            raise
        return 0  # the next drain says so, and sets it aside


_ADD = """
local count = redis.call('LLEN', KEYS[1])
if count >= tonumber(ARGV[4]) then return 0 end
redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[2], 'NX', ARGV[3], ARGV[2])
return 1
"""


def add(connection: Redis, run_id: UUID, raw: bytes, at: float) -> bool:
    """Append an entry; False when the run has as many as it may have."""
    keys = [run_key(run_id), INDEX_KEY]
    return bool(_call(connection, _ADD, keys, raw, str(run_id), at, RUN_ENTRIES_MAX))


_REFUSE = """
local function refuse(text, entry)
  redis.call('LPUSH', KEYS[2], ARGV[1] .. text .. ': ' .. string.sub(entry, 1, tonumber(ARGV[2])))
  redis.call('LTRIM', KEYS[2], 0, tonumber(ARGV[3]) - 1)
end
"""
_READ = (
    _REFUSE
    + """
local first, wanted, bytes, largest = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local most, refused, found, size = tonumber(ARGV[8]), 0, {}, 0
local count = redis.call('LLEN', KEYS[1])
if count > most then
  refuse((count - most) .. ' entries beyond the ' .. most .. ' that a run may have, dropped', '')
  redis.call('LTRIM', KEYS[1], 0, most - 1)
  refused = count - most
end
while #found < wanted do
  local entry = redis.call('LINDEX', KEYS[1], first + #found)
  if not entry then break end
  if #entry > largest then
    refuse('an entry of ' .. #entry .. ' bytes', entry)
    redis.call('LSET', KEYS[1], first + #found, '')
    redis.call('LREM', KEYS[1], 1, '')
    refused = refused + 1
  else
    if #found > 0 and size + #entry > bytes then break end
    size = size + #entry
    found[#found + 1] = entry
  end
end
return {refused, found}
"""
)


def read(connection: Redis, run_id: UUID, first: int, count: int) -> tuple[list[bytes], int]:
    """Entries of a run from index ``first``, and how many were refused because of their size."""
    refused, found = _call(
        connection, _READ, [run_key(run_id), REFUSED_KEY], *_refusing(f"run {run_id}"),
        first, count, READ_BYTES_MAX, ENTRY_BYTES_MAX, RUN_ENTRIES_MAX,
    )  # fmt: skip
    return found, int(refused)


_RUNS = (
    _REFUSE
    + """
local found, refused = {}, 0
for step = 1, tonumber(ARGV[5]) do
  local member = redis.call('ZRANGE', KEYS[1], #found, #found)[1]
  if not member or #found >= tonumber(ARGV[4]) then break end
  if #member == 36 then
    found[#found + 1] = member
  else
    refuse('a member of the index that is not a run id', member)
    redis.call('ZREM', KEYS[1], member)
    refused = refused + 1
  end
end
return {refused, found}
"""
)


def runs(connection: Redis, count: int) -> tuple[list[UUID], int]:
    """The runs to look at next, and how many members of the index were refused."""
    refused, members = _call(
        connection, _RUNS, [INDEX_KEY, REFUSED_KEY], *_refusing("the index"),
        count, MEMBERS_LOOKED_AT_MAX,
    )  # fmt: skip
    found = []
    for member in members:
        try:
            run_id = UUID(member.decode())
            if str(run_id).encode() != member:
                raise ValueError(member)
            found.append(run_id)
        except ValueError:
            connection.zrem(INDEX_KEY, member)
            set_aside(connection, None, member, "a member of the index that is not a run id")
            refused += 1
    return found, int(refused)


_FORGET = """
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('ZREM', KEYS[2], ARGV[1]) end
"""


def forget(connection: Redis, run_id: UUID) -> None:
    """Take the run out of the index, unless it has entries."""
    _call(connection, _FORGET, [run_key(run_id), INDEX_KEY], str(run_id))


def later(connection: Redis, run_id: UUID) -> None:
    """Look at the others before this one."""
    connection.zadd(INDEX_KEY, {str(run_id): LATER + clock.now().timestamp()}, xx=True)


def remove(connection: Redis, run_id: UUID, raw: bytes) -> None:
    """Take an entry away that is in the ledger."""
    connection.lrem(run_key(run_id), 1, raw)  # type: ignore[arg-type]


_SET_ASIDE = _REFUSE + "refuse(ARGV[5], ARGV[4]) return redis.call('LREM', KEYS[1], 1, ARGV[4])"


def set_aside(connection: Redis, run_id: UUID | None, raw: bytes, why: str) -> None:
    """Move an entry to the refused ones, cut, with the reason."""
    key, whose = (run_key(run_id), f"run {run_id}") if run_id else (f"{INDEX_KEY}:-", "the index")
    _call(connection, _SET_ASIDE, [key, REFUSED_KEY], *_refusing(whose), raw, why)


def _refusing(whose: str) -> tuple[str, int, int]:
    return f"{clock.now().isoformat(timespec='seconds')} {whose}: ", KEPT_BYTES, REFUSED_MAX


def _call(connection: Redis, script: str, keys: list[str], *arguments: Any) -> Any:
    """Run a script. Answers are bytes, also on a connection that decodes: no entry can make
    redis-py fail. Keys of the wrong type are set aside first."""
    for again in (False, True):
        try:
            return connection.execute_command(  # type: ignore[no-untyped-call]
                "EVAL", script, len(keys), *keys, *arguments, **{NEVER_DECODE: True}
            )
        except ResponseError as error:
            if again or "WRONGTYPE" not in str(error):
                raise
            for key in reversed(keys):  # the list of the refused first
                _set_key_aside(connection, key)
    raise AssertionError


def _set_key_aside(connection: Redis, key: str) -> None:
    kind = connection.type(key)
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    if kind in ("none", "zset" if key == INDEX_KEY else "list"):
        return
    text = f"{clock.now().isoformat(timespec='seconds')} the key {key} was a {kind}, removed"
    connection.delete(key)
    connection.lpush(REFUSED_KEY, text)
    log.error(
        "%s in Redis was a %s, which nothing here writes: it is removed.",
        key,
        kind,
        extra={"action": "spool_key_refused", "key": key},
    )
