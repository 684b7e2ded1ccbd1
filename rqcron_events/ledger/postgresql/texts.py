"""Texts that stand apart, beside the events that the same transaction has written."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper

from ...core.words.apart import Text

__all__ = ["insert_texts"]

_INSERT = """
    INSERT INTO rqcron_text (event_id, field, salt, text)
    SELECT event.id, given.field, given.salt, given.text
    FROM unnest(%s::text[], %s::int[], %s::text[], %s::text[], %s::text[])
            AS given (stream, version, field, salt, text)
        JOIN rqcron_event AS event
            ON event.stream = given.stream AND event.version = given.version
"""


def insert_texts(db: BaseDatabaseWrapper, texts: Sequence[Text]) -> None:
    """Write them, with the ids of their events."""
    if not texts:
        return
    with db.cursor() as cursor:
        cursor.execute(_INSERT, list(map(list, zip(*texts, strict=True))))
