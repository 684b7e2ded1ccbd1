"""When a cron is due, as pure functions of an instant: start with ``schedule``, then ``cron``.

``parse`` reads cron expressions, ``fields`` each of their fields, ``every`` has fixed periods, ``zone`` the time zones, and
``slot_count`` counts slots by day without walking over them.
"""

from .cron import CronSchedule
from .every import EverySchedule, every_schedule
from .fields import READING
from .parse import cron_schedule, has_one_reading, is_hashed_expression
from .schedule import EPOCH, Schedule, slots_between
from .zone import first_instant, local_time, zone_named, zone_or_utc

__all__ = [
    "EPOCH",
    "READING",
    "CronSchedule",
    "EverySchedule",
    "Schedule",
    "cron_schedule",
    "every_schedule",
    "first_instant",
    "has_one_reading",
    "is_hashed_expression",
    "local_time",
    "slots_between",
    "zone_named",
    "zone_or_utc",
]
