"""What is wrong with the settings of seals. Keys and URLs are never shown: they may be secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from .note import Signer, Verifier

__all__ = ["RECEIVERS", "missing_packages", "problems_of_keys", "problems_of_receivers"]

NAME_CHARS_MAX = 100
RECEIVERS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "file": (frozenset({"path"}), frozenset()),
    "storage": (frozenset({"storage"}), frozenset({"prefix"})),
    "webhook": (frozenset({"url"}), frozenset({"token"})),
    "git": (frozenset({"path"}), frozenset({"push"})),
    "timestamp": (frozenset({"url", "path"}), frozenset({"seconds"})),
}
"""The options of each kind that are needed, and those that are not."""
_NEEDS = ("cryptography", "rfc8785")


def missing_packages() -> list[str]:
    """Of the extra ``seal``."""
    return [name for name in _NEEDS if find_spec(name) is None]


def problems_of_keys(key: Any, old_keys: Any) -> Iterator[str]:
    """One sentence for each."""
    if not isinstance(key, str):
        yield "Setting RQCRON_SEAL_KEY is no text. Make one: manage.py cron_seal --new-key NAME."
    elif key:
        missing = missing_packages()
        if missing:
            yield (
                f"Setting RQCRON_SEAL_KEY needs {' and '.join(missing)}. Run: pip install "
                "'rqcron-events[seal]'."
            )
            return
        try:
            Signer.of(key)
        except ValueError as error:
            yield (
                f"Setting RQCRON_SEAL_KEY is no key: {error}. Make one: manage.py cron_seal "
                "--new-key NAME."
            )
    if not isinstance(old_keys, (list, tuple)):
        yield "Setting RQCRON_SEAL_OLD_KEYS is no list. Give public keys, as cron_seal --key shows them."
        return
    for number, old in enumerate(old_keys):
        try:
            Verifier.of(old if isinstance(old, str) else "")
        except ValueError as error:
            yield (
                f"Setting RQCRON_SEAL_OLD_KEYS has at {number} no public key: {error}. Give it as "
                "cron_seal --key showed it."
            )


def problems_of_receivers(given: Any) -> Iterator[str]:
    """One sentence for each."""
    if not isinstance(given, dict):
        yield "Setting RQCRON_SEAL_RECEIVERS is not a dict. Give {'name': {'kind': 'file', 'path': ...}}."
        return
    for name, options in given.items():
        if not isinstance(name, str) or not 0 < len(name) <= NAME_CHARS_MAX:
            yield f"Setting RQCRON_SEAL_RECEIVERS has the name {name!r:.120}. Give a short text."
        elif not isinstance(options, dict):
            yield f"Receiver {name!r} in RQCRON_SEAL_RECEIVERS is not a dict. Give its kind and options."
        else:
            for text in _of_one(options):
                yield f"Receiver {name!r} in RQCRON_SEAL_RECEIVERS {text}"


def _of_one(options: Mapping[str, Any]) -> Iterator[str]:
    kind = options.get("kind")
    if not isinstance(kind, str) or kind not in RECEIVERS:
        yield f"has the kind {kind!r}. Give one of {', '.join(RECEIVERS)}."
        return
    if kind == "timestamp" and find_spec("asn1crypto") is None:
        yield "needs asn1crypto. Run: pip install 'rqcron-events[timestamp]'."
    needed, more = RECEIVERS[kind]
    for option in sorted(needed - options.keys()):
        yield f"lacks {option!r}."
    for option, value in options.items():
        if option not in {"kind", *needed, *more}:
            yield f"has the option {option!r}. Known: {', '.join(sorted({'kind', *needed, *more}))}."
        elif option == "seconds":
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 1:
                yield f"has {value!r} for 'seconds'. Give a number from 1 on."
        elif option == "path" and not str(value).startswith("/"):
            yield f"has the path {str(value)!r}. Give an absolute one."
        elif option != "path" and not isinstance(value, str):
            yield f"has no text for {option!r}."
        elif option == "url" and not _is_http(value):
            yield "needs a URL with http:// or https:// and a host, without a login, in 'url'."


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port_is_one = parts.port is None or parts.port > 0
    except ValueError:
        return False
    return (
        parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and port_is_one
        and not parts.username
        and url.isascii()
        and url.isprintable()
        and " " not in url
    )
