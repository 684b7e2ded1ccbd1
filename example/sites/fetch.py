"""Asking for a page of the demo's web server, over HTTP."""

from __future__ import annotations

import time
import urllib.error
import urllib.request

from django.conf import settings

TIMEOUT_SECONDS = 10


def fetch(path: str) -> tuple[int | None, int]:
    """The HTTP status (None: no answer) and the milliseconds that it took."""
    began = time.monotonic()
    try:
        with urllib.request.urlopen(settings.SITE_URL + path, timeout=TIMEOUT_SECONDS) as answer:
            answer.read()
            status = answer.status
    except urllib.error.HTTPError as error:
        status = error.code
    except OSError:
        status = None
    return status, round((time.monotonic() - began) * 1000)
