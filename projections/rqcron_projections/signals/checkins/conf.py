"""RQCRON_CHECKINS as monitors. Texts about problems never show a URL, a key or a token."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from typing import Any
from uuid import UUID

from django.core.signals import setting_changed

from rqcron_events.conf import conf
from rqcron_events.errors import CronConfigError

from ..given import NAME_CHARS_MAX, is_about, is_http, is_named, is_text, option_problems
from ..models import CheckInKind

__all__ = ["KINDS", "Kind", "Monitor", "is_uuid", "monitors", "problems"]

PER_MINUTE_MAX = 6_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a protocol can say, and what it has to be given."""

    tells: frozenset[CheckInKind]
    per_minute: int
    """Check-ins of one cron that the service takes, or that are enough for it."""
    url: str = ""
    """Where the service is, unless the setting says otherwise."""
    needed: frozenset[str] = frozenset()
    """Options."""
    more: frozenset[str] = frozenset()
    slug_chars_max: int | None = None
    """Of a check's name there, which is of a-z, 0-9, _ and -; None: any text."""


_BOTH = frozenset({CheckInKind.BEGIN, CheckInKind.END})
KINDS: dict[str, Kind] = {
    # https://healthchecks.io/docs/http_api/
    "healthchecks": Kind(
        tells=frozenset(CheckInKind),
        per_minute=5,
        url="https://hc-ping.com",
        more=frozenset({"ping_key", "create"}),
        slug_chars_max=100,
    ),
    # https://cronitor.io/docs/telemetry-api
    "cronitor": Kind(
        tells=_BOTH,
        per_minute=60,
        url="https://cronitor.link",
        needed=frozenset({"api_key"}),
        more=frozenset({"environment"}),
    ),
    # https://deadmanssnitch.com/docs
    "snitch": Kind(
        tells=frozenset({CheckInKind.END}),
        per_minute=6,
        url="https://nosnch.in",
        needed=frozenset({"checks"}),
    ),
    # https://develop.sentry.dev/sdk/telemetry/check-ins/
    "sentry": Kind(
        tells=_BOTH,
        per_minute=6,
        more=frozenset({"dsn", "environment", "create"}),
        slug_chars_max=50,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """Where check-ins go."""

    name: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """May hold secrets."""

    @property
    def protocol(self) -> Kind:
        return KINDS[self.kind]

    @property
    def url(self) -> str:
        return str(self.options.get("url", self.protocol.url)).rstrip("/")

    @property
    def per_minute(self) -> int:
        return int(self.options.get("per_minute", self.protocol.per_minute))

    @property
    def creates(self) -> bool:
        """Whether the service is to make a check that it does not have. Healthchecks does not unless
        it is asked to, Sentry as its SDK does."""
        return bool(self.options.get("create", self.kind == "sentry"))

    @property
    def checks(self) -> Mapping[str, str]:
        """Names of checks, by cron."""
        found: Mapping[str, str] = self.options.get("checks", {})
        return found

    def check_of(self, cron: str) -> str | None:
        """What the check of a cron (its present name) is called there; None: the monitor is not about
        that cron."""
        if not is_about(self.options.get("crons", ("*",)), cron):
            return None
        if cron in self.checks:
            return self.checks[cron]
        if "checks" in self.protocol.needed:
            return None
        if self.kind == "healthchecks" and "ping_key" not in self.options:
            return None
        limit = self.protocol.slug_chars_max
        return cron if limit is None else _slug(cron, limit)


@lru_cache(maxsize=1)
def monitors() -> Mapping[str, Monitor]:
    """By name. Raises CronConfigError with the first problem."""
    found = problems()
    if found:
        raise CronConfigError(found[0])
    return {
        name: Monitor(name=name, kind=given["kind"], options=given)
        for name, given in conf().checkins.items()
    }


def _forget(**_: Any) -> None:
    monitors.cache_clear()


setting_changed.connect(_forget)


def _slug(cron: str, chars_max: int) -> str:
    """What is too long, or has nothing that may stand there, is told apart by a hash."""
    text = re.sub(r"[^a-z0-9_-]+", "-", cron.lower()).strip("-")
    if text and len(text) <= chars_max:
        return text
    ident = hashlib.sha256(cron.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{text[: chars_max - 9]}-{ident}".lstrip("-")


def is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def problems() -> list[str]:
    """One sentence for each thing that is wrong with RQCRON_CHECKINS."""
    given = conf().checkins
    if not all(is_named(*item) for item in given.items()):
        names = f"names of up to {NAME_CHARS_MAX} characters"
        return [f"RQCRON_CHECKINS must be a dict of dicts, by {names}."]
    receivers = conf().alerts.get("receivers")
    taken = receivers if isinstance(receivers, dict) else {}
    found = [
        f"Monitor {name!r} in RQCRON_CHECKINS has the name of a receiver in RQCRON_ALERTS. "
        "Give it another one: cron_signal --test takes either."
        for name in given
        if name in taken
    ]
    for name, item in given.items():
        found += [f"Monitor {name!r} in RQCRON_CHECKINS {text}" for text in _of_monitor(item)]
    return found


def _of_monitor(given: Mapping[str, Any]) -> list[str]:
    kind = given.get("kind")
    if kind not in KINDS:
        return [f"has the kind {kind!r}. Give one of {', '.join(KINDS)}."]
    needed = KINDS[kind].needed
    more = KINDS[kind].more | {"checks", "crons", "per_minute"}
    found = option_problems(given, needed, (more | {"url"} if KINDS[kind].url else more) - needed)
    if found:
        return found
    if "url" in given and not (is_http(given["url"]) and given["url"].isascii()):
        found.append("needs a URL with http:// or https:// and a host, without a login, in 'url'.")
    for key in ("ping_key", "api_key", "environment"):
        if key in given and not is_text(given[key]):
            found.append(f"needs a text in {key!r}.")
    if not isinstance(given.get("create", False), bool):
        found.append(f"has {given['create']!r} for 'create'. Give True or False.")
    limit = given.get("per_minute", 1)
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= PER_MINUTE_MAX:
        found.append(f"has {limit!r} for 'per_minute'. Give a number from 1 to {PER_MINUTE_MAX}.")
    crons = given.get("crons", ())
    if not isinstance(crons, (list, tuple)) or not all(map(is_text, crons)):
        found.append(f"has {crons!r} for 'crons'. Give a list of names.")
    found += _of_checks(kind, given)
    return found + (_of_sentry(given) if kind == "sentry" else [])


def _of_checks(kind: str, given: Mapping[str, Any]) -> list[str]:
    checks, limit = given.get("checks", {}), KINDS[kind].slug_chars_max
    texts = isinstance(checks, dict) and all(map(is_text, [*checks, *checks.values()]))
    if not texts or (not checks and "checks" in KINDS[kind].needed):
        return ["needs a dict in 'checks': for each cron, what its check is called there."]
    found = []
    for cron, check in checks.items():
        if limit is not None and not (len(check) <= limit and re.fullmatch(r"[a-z0-9_-]+", check)):
            found.append(
                f"has no slug for {cron!r} in 'checks'. Give up to {limit} of a-z, 0-9, _ and -."
            )
    if len(set(checks.values())) < len(checks):
        found.append("has one check for several crons in 'checks'. Give each its own.")
    if kind == "healthchecks" and "ping_key" not in given and not found:
        if not checks:
            found.append("needs 'ping_key', or a UUID for each cron in 'checks'.")
        for cron, check in checks.items():
            if not is_uuid(check):
                found.append(f"needs 'ping_key', because {cron!r} in 'checks' is no UUID.")
    return found


def _of_sentry(given: Mapping[str, Any]) -> list[str]:
    if find_spec("sentry_sdk") is None:
        return ["needs the Sentry SDK: pip install 'rqcron-events[sentry]'."]
    import sentry_sdk
    from sentry_sdk.utils import BadDsn, Dsn

    if "dsn" not in given:
        own = sentry_sdk.get_client().dsn
        return [] if own else ["needs a 'dsn', or sentry_sdk.init with one in the settings."]
    try:
        Dsn(given["dsn"])
    except (BadDsn, TypeError, AttributeError):
        return ["needs a DSN of Sentry in 'dsn'."]
    return []
