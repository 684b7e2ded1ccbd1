"""What ``manage.py check`` has to find, and what stops no other command."""

from __future__ import annotations

from rqcron_events import register_cron


@register_cron(schedule="61 * * * *")
def wrong_schedule() -> None:
    pass


@register_cron(args=[1])
def takes_nothing() -> None:
    pass


class Shop:
    @register_cron
    def restock(self) -> None:
        pass


@register_cron
def right() -> None:
    pass
