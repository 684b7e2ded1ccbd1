"""An entry of the spool: how a worker writes it, and whether it may be believed.

Whoever can write to Redis can write anything there. So an entry is signed with the project's
SECRET_KEY, for its run, and then everything in it is checked all the same: what the ledger holds is
there for ever.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn
from uuid import UUID, uuid4

from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac

from ..core.bounded import bounded
from ..core.codec import NewerEvent, decode_data, event_type, schema_version
from ..core.events import Event, EventType
from ..ledger.doors.words import as_stored
from .spool_lists import ENTRY_BYTES_MAX

__all__ = ["Entry", "EntryRefused", "parse", "write"]

SAID_BY_WORKERS = frozenset(
    {
        EventType.RUN_STARTED,
        EventType.ATTEMPT_FAILED,
        EventType.RUN_SUCCEEDED,
        EventType.RUN_FAILED,
        EventType.RUN_STOPPED,
        EventType.RUN_DECLINED,
        EventType.START_REFUSED,
    }
)
"""All else is decided by a runner, which has the database."""
SHORT_BYTES = 2_000
"""Bound of each text of an entry that would be too large."""
NAME_MAX = 200
"""Characters of the columns for cron and actor."""
ATTEMPT_MAX = 1_000_000
DEPTH_MAX = 8
AHEAD_MAX = timedelta(days=1)
"""Of a worker's clock."""
_SALT = "rqcron_events.spool"
_encode = json.JSONEncoder(
    separators=(",", ":"), sort_keys=True, ensure_ascii=False, allow_nan=False
).encode
_DECODER = json.JSONDecoder(parse_constant=lambda name: _refuse(f"it has the number {name}"))


class EntryRefused(ValueError):
    """An entry that never goes into the ledger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a worker could not write."""

    id: str
    type: EventType
    cron: str
    attempt: int | None
    slot: datetime | None
    reason: str
    actor: str
    occurred_at: datetime
    data: dict[str, Any]


_KEYS = {
    "id", "type", "schema", "cron", "attempt", "scheduled_for", "reason", "actor", "occurred_at",
    "data",
}  # fmt: skip


def write(event: Event) -> bytes:
    """The event as a signed entry, its texts cut where it would be too large."""
    event = as_stored(event)
    assert event.run_id is not None
    body = {
        "id": uuid4().hex,
        "type": event.type.value,
        "schema": schema_version(event.type),
        "cron": event.cron,
        "attempt": event.attempt,
        "scheduled_for": event.scheduled_for.isoformat() if event.scheduled_for else None,
        "reason": event.reason,
        "actor": event.actor,
        "occurred_at": event.occurred_at.isoformat(),
        "data": dict(event.data),
    }
    raw = _signed(event.run_id, body)
    if len(raw) > ENTRY_BYTES_MAX:
        raw = _signed(event.run_id, _shortened(body))
    return raw


def parse(raw: bytes, run_id: UUID, now: datetime) -> Entry:
    """The entry of that run.

    Raises EntryRefused for what no worker of this project wrote, and NewerEvent for what a worker
    of a newer release did.
    """
    try:
        body: dict[str, Any] = _believed(raw, run_id)
    except EntryRefused:
        raise
    except (ValueError, TypeError, RecursionError) as error:
        raise EntryRefused(f"it is not an entry ({type(error).__name__})") from None
    try:
        return _checked(body, now)
    except (EntryRefused, NewerEvent):
        raise
    except (ValueError, TypeError, KeyError, ArithmeticError) as error:
        raise EntryRefused(f"{type(error).__name__}: {bounded(str(error), 200)}") from None


def _signed(run_id: UUID, body: Mapping[str, Any]) -> bytes:
    mac = _mac(run_id, _encode(body), settings.SECRET_KEY)
    return _encode({**body, "mac": mac}).encode()


def _mac(run_id: UUID, text: str, key: str | bytes) -> str:
    """With the run, so that an entry cannot be moved to another one."""
    return salted_hmac(_SALT, f"{run_id}\n{text}", secret=key, algorithm="sha256").hexdigest()


def _believed(raw: bytes, run_id: UUID) -> dict[str, Any]:
    body = _DECODER.decode(raw.decode())
    if not isinstance(body, dict):
        _refuse("it is not an object")
    mac = body.pop("mac", None)
    if not isinstance(mac, str):
        _refuse("it is not signed")
    text = _encode(body)
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    if not any(constant_time_compare(mac, _mac(run_id, text, key)) for key in keys):
        _refuse("its signature is not of this run with this project's SECRET_KEY")
    found: dict[str, Any] = body
    return found


def _checked(body: dict[str, Any], now: datetime) -> Entry:
    """It was signed here, by this release or by another one."""
    kind = event_type(body["type"])
    if set(body) - _KEYS:
        raise NewerEvent(
            f"An entry of the spool has {sorted(set(body) - _KEYS)}, which this release does not "
            "know. Upgrade rqcron-events to the release that wrote it."
        )
    if kind not in SAID_BY_WORKERS:
        _refuse(f"no worker says {kind.value}")
    attempt, slot, data = body["attempt"], body["scheduled_for"], body["data"]
    if not isinstance(body["id"], str) or not re.fullmatch("[0-9a-f]{32}", body["id"]):
        _refuse("its id is none")
    if attempt is not None and (type(attempt) is not int or not 1 <= attempt <= ATTEMPT_MAX):
        _refuse(f"its attempt is not from 1 to {ATTEMPT_MAX:,}")
    if not isinstance(data, dict) or type(body["schema"]) is not int or body["schema"] < 1:
        _refuse("its data is not an object")
    for name in ("cron", "reason", "actor"):
        if not isinstance(body[name], str) or (name != "reason" and len(body[name]) > NAME_MAX):
            _refuse(f"its {name} is not a text of {NAME_MAX} characters at most")
    _check_storable([body["cron"], body["reason"], body["actor"], data])
    occurred_at = _instant(body["occurred_at"])
    if occurred_at > now + AHEAD_MAX:
        _refuse(f"it would have occurred at {occurred_at.isoformat()}, in the future")
    return Entry(
        id=body["id"],
        type=kind,
        cron=body["cron"],
        attempt=attempt,
        slot=None if slot is None else _instant(slot),
        reason=body["reason"],
        actor=body["actor"],
        occurred_at=occurred_at,
        data=decode_data(kind, body["schema"], data),
    )


def _instant(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None or not 1970 <= found.astimezone(UTC).year <= 9999:
        _refuse(f"{bounded(text, 50)} is not a time from 1970 to 9999 with an offset")
    return found.astimezone(UTC)


def _check_storable(value: Any, depth: int = 0) -> None:
    """Both databases keep it, and read the same again."""
    if depth > DEPTH_MAX:
        _refuse(f"its data is more than {DEPTH_MAX} levels deep")
    if isinstance(value, str):
        value.encode()  # which raises for half a character
        if "\0" in value:
            _refuse("it has NUL in a text")
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_storable(key, depth + 1)
            _check_storable(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_storable(item, depth + 1)
    elif isinstance(value, int) and abs(value) >= 2**63:
        _refuse("it has a number of more than 64 bits")


def _shortened(value: Any) -> Any:
    if isinstance(value, str):
        return bounded(value, SHORT_BYTES)
    if isinstance(value, Mapping):
        return {key: _shortened(item) for key, item in value.items()}
    return value


def _refuse(why: str) -> NoReturn:
    raise EntryRefused(why)
