"""Crons as an office has them. The demo writes a past of some days for them (``past.py``)."""

from datetime import timedelta

from rqcron_events import DeclineRun, register_cron
from sites.models import Check


@register_cron(schedule="*/30 * * * *", overlap="skip", queue="slow", timeout=3600)
def archive_checks() -> None:
    """Puts away checks that are older than a day; each week it has more to do."""
    count = Check.objects.filter(reported=True).count()
    if not count:
        raise DeclineRun("nothing to archive")


@register_cron(schedule="*/20 * * * *")
def rank_sites() -> None:
    """Orders the sites by how often they were down."""


@register_cron(schedule="15 * * * *", retry=2, max_lateness=timedelta(hours=1))
def sync_contacts() -> None:
    """Copies the owners' addresses from the CRM, which is not always there."""


@register_cron(schedule="0 3 * * *", queue="slow", catch_up="all")
def nightly_backup() -> None:
    """Copies the database."""


@register_cron(schedule="0 3 * * *")
def forget_old_checks() -> None:
    """Deletes what nobody asks for."""


@register_cron(schedule="0 3 * * 0", description="Sums up the week for each owner")
def weekly_summary() -> None: ...


@register_cron(name="mail/owners#monday", schedule="0 8 * * 1", timezone="Europe/Berlin")
def mail_owners() -> None:
    """A name may have any characters."""


@register_cron(schedule="30 2 * * *", timezone="Europe/Berlin", max_failures=3)
def renew_certificates() -> None:
    """At half past two in Berlin: an hour that is twice, or not at all, on two nights of a year."""
