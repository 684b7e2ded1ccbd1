"""What ``CRON_CLASSES`` listed: a class with ``do`` becomes a function."""

from datetime import timedelta

from rq import Retry

from rqcron_events import register_cron


@register_cron(
    name="library.import_catalogue",
    every=timedelta(minutes=120),
    overlap="skip",
    retry=Retry(max=3, interval=300),
    store_result=True,
)
def import_catalogue():
    return "imported 3 titles"


@register_cron(name="library.remind_readers", schedule="30 6,18 * * *", overlap="skip")
def remind_readers():
    """Tell readers what they have to bring back."""


# Times with different minutes do not fit into one expression: two crons of one function.
@register_cron(name="library.order_books_morning", schedule="0 8 * * 1,4", overlap="skip")
@register_cron(name="library.order_books_noon", schedule="45 13 * * 1,4", overlap="skip")
def order_books():
    return "ordered"


@register_cron(name="library.count_loans", schedule="5 0 1 * *", overlap="skip")
def count_loans():
    return "counted"
