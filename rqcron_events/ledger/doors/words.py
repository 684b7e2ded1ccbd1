"""Which words go in, and where: apart from the facts, and only what may be stored.

A fact never depends on a text: an event is stored and read the same whether its texts are there or not.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache

from django.utils.crypto import salted_hmac
from django.utils.module_loading import import_string

from ...conf import conf
from ...core.bounded import bounded, type_name
from ...core.events import Event
from ...core.words.apart import (
    MESSAGE,
    RESULT_TEXT,
    TRACEBACK,
    Stored,
    Text,
    has_texts,
    taken_apart,
    with_texts,
)
from ...core.words.secrets import without_secrets

__all__ = ["apart", "as_stored"]

log = logging.getLogger(__name__)

SCRUB_SECONDS_MAX = 2.0
"""How long the project's function may take for one text."""
REASON_BYTES_MAX = 8_000
SHAPE_CHARS = 12
_SALT = "rqcron_events.error_shape"


def apart(events: Sequence[Event]) -> tuple[Sequence[Event], list[Text]]:
    """The events as they are stored, and their texts."""
    if not any(map(has_texts, events)):
        return events, []
    facts: list[Event] = []
    texts: list[Text] = []
    for event in events:
        fact, found = taken_apart(event, _scrubbed, _shape_key) if has_texts(event) else (event, [])
        facts.append(fact)
        texts += found
    return facts, texts


def as_stored(event: Event) -> Event:
    """The event with its texts as they may be stored: for places other than the database."""
    if not has_texts(event):
        return event
    facts, texts = taken_apart(event, _scrubbed, _shape_key)
    return with_texts(facts, {text.field: Stored(text.salt, text.text) for text in texts})


def _shape_key(shape: str) -> str:
    """Equal for equal shapes, while SECRET_KEY is; nobody can try shapes without it."""
    return salted_hmac(_SALT, shape, algorithm="sha256").hexdigest()[:SHAPE_CHARS]


def _scrubbed(field: str, text: str) -> str:
    """What may be stored of a text. Where the project's function fails, nothing may."""
    try:
        kept = _by_hook(text)
    except Exception as error:
        why = str(error) if isinstance(error, _ScrubFailed) else type_name(type(error))
        log.error(
            "RQCRON_SCRUB does not work (%s), so a text is not stored.",
            why,
            extra={"action": "scrub_failed"},
        )
        return f"<not stored, because RQCRON_SCRUB does not work: {why}>"
    return bounded(kept, _bytes_max(field), keep_end=field == TRACEBACK)


def _bytes_max(field: str) -> int:
    limits = conf()
    sizes = {
        MESSAGE: limits.message_bytes_max,
        TRACEBACK: limits.traceback_bytes_max,
        RESULT_TEXT: limits.result_bytes_max,
    }
    # What bounded() adds where it cuts is cut no second time.
    return sizes.get(field, REASON_BYTES_MAX) + 3


class _ScrubFailed(Exception):
    """Says why in words that do not quote the text."""


@lru_cache(maxsize=4)
def _hook(path: str) -> Callable[[str], object]:
    found: Callable[[str], object] = import_string(path)
    return found


def _by_hook(text: str) -> str:
    path = conf().scrub
    if not path:
        return text
    hook = _hook(path)
    given = hook(text) if hook is without_secrets else _in_time(hook, text)
    if not isinstance(given, str):
        raise _ScrubFailed(f"it returned {type_name(type(given))} and not a str")
    return given


def _in_time(hook: Callable[[str], object], text: str) -> object:
    """In a thread, which may be left behind: a signal reaches the main thread only."""
    answers: list[object] = []
    failures: list[str] = []

    def call() -> None:
        try:
            answers.append(hook(text))
        except BaseException as error:  # what it says may quote the text
            failures.append(type_name(type(error)))

    thread = threading.Thread(target=call, name="rqcron-scrub", daemon=True)
    thread.start()
    thread.join(SCRUB_SECONDS_MAX)
    if failures:
        raise _ScrubFailed(f"it raised {failures[0]}")
    if not answers:
        raise _ScrubFailed(f"it did not answer within {SCRUB_SECONDS_MAX:.0f} s")
    return answers[0]
