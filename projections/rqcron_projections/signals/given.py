"""What settings give, and whether it is what it should be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

__all__ = ["NAME_CHARS_MAX", "is_about", "is_http", "is_named", "is_text", "option_problems"]

NAME_CHARS_MAX = 100


def is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


def is_http(url: Any) -> bool:
    """With a host, and without a login."""
    if not is_text(url):
        return False
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
        )
    except ValueError:
        return False


def is_named(name: Any, value: Any) -> bool:
    """A dict by a name that fits its column."""
    named = isinstance(name, str) and 0 < len(name) <= NAME_CHARS_MAX
    return named and isinstance(value, dict)


def option_problems(
    given: Mapping[str, Any], needed: Iterable[str], more: Iterable[str]
) -> list[str]:
    """Options that are missing, and those that nobody knows; without their values."""
    known = {"kind", *needed, *more}
    found = [f"lacks {option!r}." for option in sorted(set(needed) - given.keys())]
    found += [
        f"has the option {option!r}. Known: {', '.join(sorted(known))}."
        for option in given
        if option not in known
    ]
    return found


def is_about(patterns: Iterable[str], cron: str) -> bool:
    """Whether one of the names, with ``*`` and ``?``, is the cron's."""
    return any(fnmatchcase(cron, pattern) for pattern in patterns)
