"""How long the crons of the past worked, and how they failed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from uuid import UUID

__all__ = ["BAD_CODE_FOR", "Work", "error", "seconds"]

BAD_CODE_FOR = timedelta(minutes=83)
"""From the bad deploy until it was rolled back."""
USUAL_SECONDS = {
    "nightly_backup": 1500,
    "forget_old_checks": 300,
    "weekly_summary": 800,
    "rank_sites": 25,
    "mail/owners#monday": 45,
    "renew_certificates": 70,
}
ELSE_SECONDS = 8

KEY_ERROR = {
    "type": "KeyError",
    "message": "'weight'",
    "traceback": "Traceback (most recent call last):\n"
    '  File "/srv/checker/sites/crons/night.py", line 31, in rank_sites\n'
    '    weight = settings_of(site)["weight"]\n'
    "KeyError: 'weight'",
}
CRM_AWAY = {
    "type": "ConnectionError",
    "message": "crm.example.com:443 refused the connection <after 3 tries>",
    "traceback": "Traceback (most recent call last):\n"
    '  File "/srv/checker/sites/crm.py", line 12, in contacts\n'
    "    with connect(HOST) as crm:\n"
    "ConnectionError: crm.example.com:443 refused the connection <after 3 tries>",
}


@dataclass(frozen=True, slots=True)
class Work:
    """A run that waits for a worker, or has one."""

    cron: str
    run_id: UUID
    slot: datetime | None
    worker: int
    """Its number, from 0."""
    enqueued_at: datetime


def seconds(work: Work, age: float, random: Random) -> float:
    """How long it takes; ``age`` is 0 when the past begins and 1 today. The archive takes longer from
    day to day."""
    usual = USUAL_SECONDS.get(work.cron, ELSE_SECONDS)
    if work.cron == "archive_checks":
        usual = 240 * 8**age
    return usual * random.lognormvariate(0, 0.15)


def error(work: Work, attempt: int, bad_deploy: datetime, random: Random) -> dict[str, str] | None:
    if work.cron == "rank_sites":
        return KEY_ERROR if bad_deploy <= work.enqueued_at < bad_deploy + BAD_CODE_FOR else None
    if work.cron == "sync_contacts":
        return CRM_AWAY if random.random() < (0.12 if attempt == 1 else 0.37) else None
    return None
