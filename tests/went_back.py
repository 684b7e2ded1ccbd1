"""A log that goes back in place, as after a failover that loses the last commits."""

from __future__ import annotations

from django.db import connection
from django.db.models import Max

from rqcron_events.ledger.backend import backend_of
from rqcron_events.models import CronEvent

__all__ = ["go_back", "newest"]


def go_back(to: int) -> None:
    """The log as it was when this id was its newest, and its ids are handed out again."""
    backend_of(connection).set_append_only(connection, enabled=False)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM rqcron_event WHERE id > %s", [to])
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT setval(pg_get_serial_sequence('rqcron_event', 'id'), %s)", [max(to, 1)]
            )
        else:
            cursor.execute("UPDATE sqlite_sequence SET seq = %s WHERE name = 'rqcron_event'", [to])
    backend_of(connection).set_append_only(connection, enabled=True)


def newest() -> int:
    return CronEvent.objects.aggregate(newest=Max("id"))["newest"] or 0
