"""Sentry Crons. The Sentry SDK writes the envelope; it is sent from here.

The SDK would send it in the background, and drop what is not taken without a word.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import TYPE_CHECKING, Any

from rqcron_events import clock

from ..http import Answer, NotTaken, Refused, request
from .conf import Monitor
from .pings import NEVER_TAKEN, RATE_LIMITED_SECONDS
from .schedule import monitor_config
from .told import Told

if TYPE_CHECKING:
    from rqcron_events.core.definition import Definition

__all__ = ["MonitorAway", "check_in"]

CATEGORY = "monitor"
"""Sentry's word for check-ins, in its limits."""
_STATES = {"begin": "in_progress", "good": "ok", "bad": "error"}


class MonitorAway(NotTaken):
    """Sentry takes no check-in of the project for a while, whichever cron it is about."""


def check_in(monitor: Monitor, check: str, told: Told, definition: Definition | None) -> str:
    """What Sentry answered, in a few words; empty: there was nothing to tell it.

    Raises NotTaken (NotReached, Refused, MonitorAway), without the DSN in their texts.
    """
    if told.state == "note":
        return ""
    import sentry_sdk
    from sentry_sdk.consts import EndpointType
    from sentry_sdk.envelope import Envelope
    from sentry_sdk.utils import Dsn

    own = sentry_sdk.get_client()
    auth = Dsn(monitor.options.get("dsn") or own.dsn or "").to_auth("rqcron-events")
    envelope = Envelope(headers={"sent_at": clock.now().astimezone(UTC).isoformat()})
    envelope.add_checkin(_payload(monitor, check, told, definition, own.options))
    headers = {
        "Content-Type": "application/x-sentry-envelope",
        "X-Sentry-Auth": auth.to_header(),
    }
    url = auth.get_api_url(EndpointType.ENVELOPE)
    return _read(request("POST", url, headers, envelope.serialize()))


def _payload(
    monitor: Monitor,
    check: str,
    told: Told,
    definition: Definition | None,
    own: Mapping[str, Any],
) -> dict[str, Any]:
    """``own``: options of the project's client, whose environment and release count here, too."""
    config = monitor_config(definition) if monitor.creates and definition else None
    found = {
        "check_in_id": told.run_id.hex if told.run_id else None,
        "monitor_slug": check,
        "status": _STATES[told.state],
        "duration": told.duration_seconds,
        "environment": monitor.options.get("environment") or own.get("environment"),
        "release": own.get("release"),
        "monitor_config": config,
    }
    return {key: value for key, value in found.items() if value is not None}


def _read(answer: Answer) -> str:
    said = f"HTTP {answer.status}"
    if answer.status == 429:
        seconds = _limit_seconds(answer) or answer.wait_seconds or RATE_LIMITED_SECONDS
        raise MonitorAway(said, seconds)
    if answer.status in NEVER_TAKEN:
        raise Refused(said)
    if not 200 <= answer.status < 300:
        raise NotTaken(said, answer.wait_seconds)
    return said


def _limit_seconds(answer: Answer) -> float:
    """By ``X-Sentry-Rate-Limits``: ``<seconds>:<categories>:...``, and several of these."""
    longest = 0.0
    for limit in answer.headers.get("x-sentry-rate-limits", "").split(","):
        seconds, _, rest = limit.strip().partition(":")
        categories = [item for item in rest.partition(":")[0].split(";") if item]
        if seconds.isascii() and seconds.isdigit() and (not categories or CATEGORY in categories):
            longest = max(longest, float(seconds[:6]))
    return longest
