"""A cron whose function is called ``do``: it takes the name of its module."""

import json
import urllib.request
from datetime import timedelta

from django.conf import settings

from rqcron_events import register_cron
from sites.models import Check


@register_cron(every=timedelta(seconds=15), offset=timedelta(seconds=7), retry=2)
def do() -> None:
    """Sends the newest check to a page that the demo does not have, so every try fails."""
    check = Check.objects.order_by("-id").first()
    body = json.dumps({"status": str(check)}).encode()
    urllib.request.urlopen(f"{settings.SITE_URL}/status-page/", data=body, timeout=10)
