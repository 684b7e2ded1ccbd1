"""Money."""

from rqcron_events import register_cron


@register_cron(description="Close the month", cadence="monthly", queue="low")
def close_the_month():
    return {"closed": True}
