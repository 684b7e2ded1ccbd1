"""A cron may be an async function."""

import asyncio
from datetime import timedelta
from urllib.parse import urlsplit

from django.conf import settings

from rqcron_events import register_cron

CONNECTIONS = 10


@register_cron(every=timedelta(seconds=10), offset=timedelta(seconds=3))
async def ping() -> None:
    """Opens ten connections to the web server at once."""
    await asyncio.gather(*(connect() for _ in range(CONNECTIONS)))


async def connect() -> None:
    address = urlsplit(settings.SITE_URL)
    _reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.close()
    await writer.wait_closed()
