"""Look at every site, again and again."""

from datetime import timedelta

from rqcron_events import register_cron
from sites.fetch import fetch
from sites.models import Check, Site


@register_cron(every=timedelta(seconds=8), offset=timedelta(seconds=2))
def check_sites() -> None:
    for site in Site.objects.all():
        status, milliseconds = fetch(site.path)
        Check.objects.create(site=site, status=status, milliseconds=milliseconds)


@register_cron(every=timedelta(seconds=2), overlap="skip", queue="slow")
def measure_speed() -> None:
    """Fetches the slow page four times, which takes about five seconds: too long for its period."""
    for _ in range(4):
        fetch("/slow/")
