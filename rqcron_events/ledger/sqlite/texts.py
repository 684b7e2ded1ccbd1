"""Texts that stand apart, beside the events that the same transaction has written."""

from __future__ import annotations

import json
from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper

from ...core.words.apart import Text

__all__ = ["insert_texts"]

_INSERT = """
    INSERT INTO rqcron_text (event_id, field, salt, text)
    SELECT event.id, json_extract(given.value, '$[2]'), json_extract(given.value, '$[3]'),
        json_extract(given.value, '$[4]')
    FROM json_each(%s) AS given JOIN rqcron_event AS event
        ON event.stream = json_extract(given.value, '$[0]')
        AND event.version = json_extract(given.value, '$[1]')
"""


def insert_texts(db: BaseDatabaseWrapper, texts: Sequence[Text]) -> None:
    """Write them, with the ids of their events."""
    if not texts:
        return
    with db.cursor() as cursor:
        cursor.execute(_INSERT, [json.dumps(texts, ensure_ascii=False)])
