"""The cron ``restock``: a function named ``do``, on a queue of its own, with tries."""

from banana_stand import stock
from rqcron_events import Cadence, register_cron


@register_cron(
    description="Order bananas",
    cadence=Cadence.WEEKLY,
    queue="high",
    tries=3,
)
def do():
    return {"ordered": stock.order()}
