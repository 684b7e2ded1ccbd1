"""Each writes to the outside table and ends well."""

from __future__ import annotations

import time

from rqcron_events import register_cron
from tests.chaos.app.outside import attempt


@register_cron(schedule="@yearly", timeout=10)
def once():
    with attempt():
        pass


@register_cron(schedule="@yearly", timeout=10, retry=2)
def retried():
    with attempt():
        pass


@register_cron(schedule="@yearly", timeout=10)
def long():
    with attempt():
        time.sleep(4)


@register_cron(schedule="@yearly", timeout=10, retry=2)
def long_and_retried():
    with attempt():
        time.sleep(4)
