"""The pages that the crons check."""

from __future__ import annotations

import time

from django.http import HttpRequest, HttpResponse

SLOW_SECONDS = 1.2
FLAKY_PERIOD_SECONDS = 20
FLAKY_DOWN_SECONDS = 8


def ok(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("All is well.\n", content_type="text/plain")


def slow(_request: HttpRequest) -> HttpResponse:
    time.sleep(SLOW_SECONDS)
    return HttpResponse("Sorry that it took so long.\n", content_type="text/plain")


def flaky(_request: HttpRequest) -> HttpResponse:
    """Down for the first eight seconds of every twenty."""
    if time.time() % FLAKY_PERIOD_SECONDS < FLAKY_DOWN_SECONDS:
        return HttpResponse("Down.\n", content_type="text/plain", status=500)
    return HttpResponse("Up again.\n", content_type="text/plain")
