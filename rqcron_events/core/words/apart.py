"""Texts taken out of an event, with what proves them, and put back where they are still there.

The event keeps ``texts``: by field, the SHA-256 of salt and text. Without the salt, which goes with the
text, nobody can find out by guessing what the text was.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from ..events import Event
from ..events.keys import ERROR, ERROR_MESSAGE, ERROR_SHAPE, ERROR_TRACEBACK, RESULT, TEXTS
from .error_shape import message_shape

__all__ = [
    "CHANGED",
    "FIELDS",
    "GONE",
    "MESSAGE",
    "REASON",
    "REASON_CHARS_MAX",
    "RESULT_TEXT",
    "TRACEBACK",
    "Stored",
    "Text",
    "digest_of",
    "has_texts",
    "is_right",
    "taken_apart",
    "with_texts",
    "without_run_texts",
]

MESSAGE = "error.message"
TRACEBACK = "error.traceback"
RESULT_TEXT = "result"
REASON = "reason"
FIELDS = (MESSAGE, TRACEBACK, RESULT_TEXT, REASON)
REASON_CHARS_MAX = 200
"""Of a reason that stays in its event; what is longer stands apart, and this much of it stays."""
GONE = "(removed)"
"""Stands in the place of a text that was removed, or was never kept."""
CHANGED = "(changed since it was recorded)"
"""Stands in the place of a text that does not have the hash in its event."""
SALT_BYTES = 16
_IN_ERROR = {MESSAGE: ERROR_MESSAGE, TRACEBACK: ERROR_TRACEBACK}
_OF_RUNS = (MESSAGE, TRACEBACK, RESULT_TEXT)


class Text(NamedTuple):
    """A text, and which event's it is."""

    stream: str
    version: int
    field: str
    salt: str
    """Hexadecimal."""
    text: str


class Stored(NamedTuple):
    """A text as it is in its table."""

    salt: str
    text: str


def digest_of(salt: str, text: str) -> str:
    """What stands for the text in its event, hexadecimal."""
    raw = bytes.fromhex(salt) + text.encode(errors="replace")
    return hashlib.sha256(raw).hexdigest()


def is_right(stored: Stored, digest: object) -> bool:
    """Whether it is the text of which an event has this digest."""
    try:
        return digest_of(*stored) == digest
    except ValueError:  # a salt that somebody changed into no number
        return False


def has_texts(event: Event) -> bool:
    """Whether something is to be taken out of it."""
    data = event.data
    return ERROR in data or RESULT in data or len(event.reason) > REASON_CHARS_MAX


def taken_apart(
    event: Event, scrub: Callable[[str, str], str], shape_key: Callable[[str], str]
) -> tuple[Event, list[Text]]:
    """The event without its texts, and the texts.

    ``scrub`` is given a field and its text, and returns what may be stored. ``shape_key`` makes of
    what messages of one kind have in common something that tells nothing of it.
    """
    data, texts, digests = dict(event.data), [], {}

    def take(field: str, text: Any) -> str | None:
        if not isinstance(text, str) or not text:
            return None
        kept = scrub(field, text)
        salt = secrets.token_hex(SALT_BYTES)
        texts.append(Text(event.stream, event.version, field, salt, kept))
        digests[field] = digest_of(salt, kept)
        return kept

    error = data.get(ERROR)
    if isinstance(error, Mapping):
        facts = dict(error)
        for field, key in _IN_ERROR.items():
            kept = take(field, error.get(key))
            if kept is not None:
                del facts[key]
                if field == MESSAGE:
                    facts[ERROR_SHAPE] = shape_key(message_shape(kept))
        data[ERROR] = facts
    if take(RESULT_TEXT, data.get(RESULT)) is not None:
        del data[RESULT]
    reason = event.reason
    if len(reason) > REASON_CHARS_MAX:
        reason = (take(REASON, reason) or "")[: REASON_CHARS_MAX - 1] + "…"
    if not texts:
        return event, []
    data[TEXTS] = digests
    return replace(event, data=data, reason=reason), texts


def with_texts(event: Event, found: Mapping[str, Stored]) -> Event:
    """The event as it was before its texts were taken out. ``texts`` keeps those that are not there any more,
    or are not what they were; in their place stands that they are not."""
    digests = event.data.get(TEXTS)
    if not isinstance(digests, Mapping):
        return event
    data = dict(event.data)
    missing: dict[str, Any] = {}
    reason = event.reason
    for field, digest in digests.items():
        stored = found.get(field)
        if stored is None:
            text = GONE
        elif not is_right(stored, digest):
            text = CHANGED
        else:
            text = stored.text
        if text in (GONE, CHANGED):
            missing[field] = digest
        if field in _IN_ERROR:
            data[ERROR] = {**(data.get(ERROR) or {}), _IN_ERROR[field]: text}
        elif field == RESULT_TEXT:
            data[RESULT] = text
        elif field == REASON and field not in missing:
            reason = text
    del data[TEXTS]
    if missing:
        data[TEXTS] = missing
    return replace(event, data=data, reason=reason)


def without_run_texts(data: Mapping[str, Any]) -> dict[str, Any]:
    """An event's data without what an error said and what a run returned, wherever they stand; the error's
    type stays. Nothing puts them back."""
    found = {key: value for key, value in data.items() if key != RESULT}
    error, digests = data.get(ERROR), data.get(TEXTS)
    if isinstance(error, Mapping):
        found[ERROR] = {key: error[key] for key in error if key not in _IN_ERROR.values()}
    if isinstance(digests, Mapping):
        found[TEXTS] = {field: digests[field] for field in digests if field not in _OF_RUNS}
        if not found[TEXTS]:
            del found[TEXTS]
    return found
