"""When a cron is due, as pure functions of an instant: start with ``schedule``, then ``cron``.

``parse`` reads cron expressions, ``every`` has fixed periods, ``zone`` the time zones, and
``slot_count`` counts slots by day without walking over them.
"""

from .cron import CronSchedule
from .every import EverySchedule, every_schedule
from .parse import cron_schedule
from .schedule import EPOCH, Schedule, slots_between
from .zone import first_instant, zone_named, zone_or_utc

__all__ = [
    "EPOCH",
    "CronSchedule",
    "EverySchedule",
    "Schedule",
    "cron_schedule",
    "every_schedule",
    "first_instant",
    "slots_between",
    "zone_named",
    "zone_or_utc",
]
