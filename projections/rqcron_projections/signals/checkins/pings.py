"""Protocols of one request per check-in: Healthchecks, Cronitor, Dead Man's Snitch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from ..http import Answer, NotTaken, Refused, request
from .conf import Monitor, is_uuid
from .told import Told

__all__ = ["PINGS", "ping"]

NEVER_TAKEN = frozenset({400, 413, 414, 415, 422})
"""Answers about the request itself: the same one gets them again."""
MESSAGE_CHARS_MAX = 1_000
RATE_LIMITED_SECONDS = 60.0
"""How long to leave a check alone where the service says no number."""


class Ping(NamedTuple):
    """A request."""

    method: str
    path: str
    """Quoted."""
    query: Mapping[str, Any]
    body: str = ""


def ping(monitor: Monitor, check: str, told: Told) -> str:
    """What the service answered, in a few words; empty: there was nothing to tell it.

    Raises NotTaken (NotReached, Refused), without URLs in their texts.
    """
    made = PINGS[monitor.kind](monitor, check, told)
    if made is None:
        return ""
    query = urlencode({key: value for key, value in made.query.items() if value is not None})
    url = f"{monitor.url}/{made.path}" + (f"?{query}" if query else "")
    headers = {"Content-Type": "text/plain; charset=utf-8"} if made.body else {}
    body = made.body.encode("utf-8", "replace") if made.body else None
    return _read(request(made.method, url, headers, body, with_text=True))


def _read(answer: Answer) -> str:
    said = f"HTTP {answer.status}"
    if answer.status == 429:
        raise NotTaken(said, answer.wait_seconds or RATE_LIMITED_SECONDS)
    if answer.status in NEVER_TAKEN:
        raise Refused(said)
    if not 200 <= answer.status < 300:
        raise NotTaken(said, answer.wait_seconds)
    # Healthchecks.io answers 200 to UUIDs that it does not know, and above its limit; the text says it.
    if "(not found)" in answer.text:
        raise NotTaken(f"{said}, not found")
    if "(rate limited)" in answer.text:
        raise NotTaken(f"{said}, rate limited", RATE_LIMITED_SECONDS)
    return said


def _healthchecks(monitor: Monitor, check: str, told: Told) -> Ping:
    parts = [check] if is_uuid(check) else [monitor.options["ping_key"], check]
    match told.state:
        case "begin":
            parts.append("start")
        case "bad":
            parts.append("fail" if told.exit_status is None else str(told.exit_status))
        case "note":
            parts.append("log")
        case "good":
            pass
    query = {
        "rid": told.run_id,
        "create": 1 if monitor.creates and not is_uuid(check) else None,
    }
    return Ping("POST", _path(parts), query, told.text)


def _cronitor(monitor: Monitor, check: str, told: Told) -> Ping | None:
    if told.state == "note":
        return None
    seconds = told.duration_seconds
    query = {
        "state": {"begin": "run", "good": "complete", "bad": "fail"}[told.state],
        "series": told.run_id,
        "env": monitor.options.get("environment"),
        "message": told.text[:MESSAGE_CHARS_MAX],
        "metric": None if seconds is None else f"duration:{seconds:.3f}",
        "status_code": told.exit_status,
    }
    return Ping("GET", _path(["p", monitor.options["api_key"], check]), query)


def _snitch(monitor: Monitor, check: str, told: Told) -> Ping | None:
    """It has no begin."""
    if told.state not in ("good", "bad"):
        return None
    status = 1 if told.exit_status is None else told.exit_status
    query = {
        "m": told.text[:MESSAGE_CHARS_MAX],
        "s": status if told.state == "bad" else None,
    }
    return Ping("GET", _path([check]), query)


def _path(parts: list[str]) -> str:
    return "/".join(quote(part, safe="") for part in parts)


PINGS: dict[str, Callable[[Monitor, str, Told], Ping | None]] = {
    "healthchecks": _healthchecks,
    "cronitor": _cronitor,
    "snitch": _snitch,
}
