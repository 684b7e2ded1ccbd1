from __future__ import annotations

import threading

from django.db import connection, transaction

from rqcron_events import register_cron


def session() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


@register_cron(schedule="@yearly", store_result=True)
def first():
    return session()


@register_cron(schedule="@yearly", store_result=True)
def second():
    return session()


@register_cron(schedule="@yearly", store_result=True)
def leaves_a_transaction_open():
    transaction.set_autocommit(False)
    return session()


@register_cron(schedule="@yearly")
def waits():
    threading.Event().wait(60)
