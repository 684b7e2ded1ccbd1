"""A function named ``do`` takes the name of its module: this cron is ``ping``."""

from rqcron_events import register_cron


@register_cron(description="Say that crons work", cadence="every_minute")
def do():
    print("crons work")
