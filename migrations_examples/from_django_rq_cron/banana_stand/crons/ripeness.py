"""Bananas ripen, whether anybody looks or not."""

from banana_stand import stock
from rqcron_events import Cadence, register_cron


@register_cron
def update_ripeness():
    """Bare decorator: hourly, as before."""
    return {"updated": stock.ripen()}


@register_cron(
    description="Throw away what nobody wants to eat any more",
    cadence=Cadence.DAILY,
)
def throw_away_brown_bananas():
    return {"thrown_away": stock.throw_away()}
