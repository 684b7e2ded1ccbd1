"""RQCRON_ALERTS as rules and receivers. Texts about problems never show a URL or a secret."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

from django.core.signals import setting_changed

from rqcron_events.conf import conf
from rqcron_events.core.wording import did_you_mean
from rqcron_events.errors import CronConfigError

from ..given import NAME_CHARS_MAX, is_about, is_http, is_named, is_text, option_problems

__all__ = ["AlertConf", "Kind", "Receiver", "Rule", "alert_conf", "problems", "secret_bytes"]

SECRET_PREFIX = "whsec_"  # noqa: S105
SECRET_BYTES_MIN = 24
SECRET_BYTES_MAX = 64


class Kind(StrEnum):
    """What a rule is about."""

    FAILING = "failing"
    MISSED = "missed"
    LATE = "late"
    RUNNING = "running"
    NO_SUCCESS = "no_success"
    NO_RUNNER = "no_runner"


THRESHOLDS: dict[Kind, tuple[str, float | None]] = {
    Kind.FAILING: ("runs", None),
    Kind.MISSED: ("slots", 1),
    Kind.LATE: ("seconds", 60),
    Kind.RUNNING: ("seconds", 3600),
    Kind.NO_SUCCESS: ("seconds", None),
    Kind.NO_RUNNER: ("seconds", 60),
}
"""The option of each kind, and its default; None: as the cron's own definition says."""
RULES: dict[str, Any] = {"failing": {}, "missed": {}, "no_runner": {}}
"""Where the setting names none."""
RECEIVERS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "log": (frozenset(), frozenset()),
    "mail": (frozenset({"to"}), frozenset({"from"})),
    "webhook": (frozenset({"url", "secret"}), frozenset()),
    "apprise": (frozenset({"url"}), frozenset()),
}
"""The options of each kind that are needed, and those that are not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Where alerts go."""

    name: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """May hold secrets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When to tell what to whom."""

    name: str
    kind: Kind
    threshold: float | None
    """Runs, slots or seconds; None: as the cron's own definition says."""
    receivers: tuple[str, ...]
    crons: tuple[str, ...] = ("*",)
    quiet_seconds: float = 0.0
    """How long after it was told that it opened, no other opening is told."""

    def is_about(self, cron: str) -> bool:
        return is_about(self.crons, cron)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertConf:
    """The setting, read."""

    receivers: Mapping[str, Receiver] = field(default_factory=dict)
    rules: Mapping[str, Rule] = field(default_factory=dict)

    def rule_for(self, kind: Kind, cron: str = "") -> Rule | None:
        """The first rule of its kind that is about the cron: the others do not count for it."""
        for rule in self.rules.values():
            if rule.kind is kind and (kind is Kind.NO_RUNNER or rule.is_about(cron)):
                return rule
        return None

    def of_kind(self, *kinds: Kind) -> list[Rule]:
        return [rule for rule in self.rules.values() if rule.kind in kinds]


@lru_cache(maxsize=1)
def alert_conf() -> AlertConf:
    """Without receivers when the setting is empty. Raises CronConfigError with the first problem."""
    found = problems()
    if found:
        raise CronConfigError(found[0])
    given = conf().alerts
    receivers = {
        name: Receiver(name=name, kind=item["kind"], options=item)
        for name, item in given.get("receivers", {}).items()
    }
    rules = {
        name: _rule(name, item, tuple(receivers))
        for name, item in given.get("rules", RULES).items()
    }
    return AlertConf(receivers=receivers, rules=rules if receivers else {})


def _forget(**_: Any) -> None:
    alert_conf.cache_clear()


setting_changed.connect(_forget)


def _rule(name: str, given: Mapping[str, Any], receivers: tuple[str, ...]) -> Rule:
    kind = Kind(given.get("when", name))
    option, default = THRESHOLDS[kind]
    return Rule(
        name=name,
        kind=kind,
        threshold=given.get(option, default),
        receivers=tuple(given.get("receivers", receivers)),
        crons=tuple(given.get("crons", ("*",))),
        quiet_seconds=float(given.get("quiet_seconds", 0)),
    )


def problems() -> list[str]:
    """One sentence for each thing that is wrong with RQCRON_ALERTS."""
    given = conf().alerts
    found = [
        f"RQCRON_ALERTS has {key!r}. Known: receivers, rules."
        for key in given
        if key not in ("receivers", "rules")
    ]
    receivers, rules = given.get("receivers", {}), given.get("rules", RULES)
    for key, value in (("receivers", receivers), ("rules", rules)):
        if not isinstance(value, dict) or not all(is_named(*item) for item in value.items()):
            names = f"names of up to {NAME_CHARS_MAX} characters"
            found.append(f"RQCRON_ALERTS[{key!r}] must be a dict of dicts, by {names}.")
    if found:
        return found
    for name, item in receivers.items():
        found += [f"Receiver {name!r} in RQCRON_ALERTS {text}" for text in _of_receiver(item)]
    for name, item in rules.items():
        found += [
            f"Rule {name!r} in RQCRON_ALERTS {text}" for text in _of_rule(name, item, receivers)
        ]
    return found


def _of_receiver(given: Mapping[str, Any]) -> list[str]:
    kind = given.get("kind")
    if kind not in RECEIVERS:
        return [f"has the kind {kind!r}. Give one of {', '.join(RECEIVERS)}."]
    needed, more = RECEIVERS[kind]
    found = option_problems(given, needed, more)
    if found:
        return found
    if kind == "mail":
        to = given["to"]
        if not isinstance(to, (list, tuple)) or not to or not all(is_text(item) for item in to):
            found.append("needs a list of addresses in 'to'.")
        if "from" in given and not is_text(given["from"]):
            found.append("needs an address in 'from'.")
    if kind == "webhook":
        if not is_http(given["url"]):
            found.append(
                "needs a URL with http:// or https:// and a host, without a login, in 'url'."
            )
        if secret_bytes(given["secret"]) is None:
            found.append(
                f"needs a 'secret' of {SECRET_PREFIX!r} and base64 of {SECRET_BYTES_MIN} to "
                f"{SECRET_BYTES_MAX} random bytes: openssl rand -base64 32 gives them."
            )
    if kind == "apprise":
        if not is_text(given["url"]) or "://" not in given["url"]:
            found.append("needs one of Apprise's URLs in 'url'.")
        if find_spec("apprise") is None:
            found.append("needs Apprise: pip install 'rqcron-events[apprise]'.")
    return found


def _of_rule(name: str, given: Mapping[str, Any], receivers: Collection[str]) -> list[str]:
    when = given.get("when", name)
    if when not in set(Kind):
        hint = did_you_mean(str(when), list(Kind))
        return [f"is about {when!r}. Give 'when': {', '.join(Kind)}. {hint}".rstrip()]
    option, _ = THRESHOLDS[Kind(when)]
    known = {"when", "receivers", "quiet_seconds", option}
    known |= {"crons"} if when != Kind.NO_RUNNER else set()
    found = [
        f"has the option {key!r}. Known for {when}: {', '.join(sorted(known))}."
        for key in given
        if key not in known
    ]
    for key in (option, "quiet_seconds"):
        value = given.get(key, 1)
        whole = key in ("runs", "slots")
        if not _is_number(value, whole) or value < (key != "quiet_seconds"):
            least = "a whole number from 1" if whole else "seconds, from 1"
            least = "seconds, from 0" if key == "quiet_seconds" else least
            found.append(f"has {value!r} for {key!r}. Give {least}.")
    for key in ("receivers", "crons"):
        value = given.get(key, ())
        if not isinstance(value, (list, tuple)) or not all(is_text(item) for item in value):
            found.append(f"has {value!r} for {key!r}. Give a list of names.")
        elif key == "receivers":
            found += [
                f"names the receiver {item!r}. Known: {', '.join(sorted(receivers)) or 'none'}."
                for item in value
                if item not in receivers
            ]
    return found


def _is_number(value: Any, whole: bool) -> bool:
    return isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)


def secret_bytes(secret: Any) -> bytes | None:
    """The key that a secret stands for, as Standard Webhooks writes it; None: it is none."""
    if not isinstance(secret, str) or not secret.startswith(SECRET_PREFIX):
        return None
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if SECRET_BYTES_MIN <= len(key) <= SECRET_BYTES_MAX else None
