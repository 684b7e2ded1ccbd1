"""A page for probes that cannot run a command. Off by default, because it asks for no login."""

from __future__ import annotations

from django.db import DatabaseError, transaction
from django.http import Http404, HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from .conf import conf
from .queries.health import health
from .signals import announce_health

__all__ = ["health_view"]


@transaction.non_atomic_requests  # ATOMIC_REQUESTS would wait for the database before the view
@require_safe
@never_cache
def health_view(request: HttpRequest) -> JsonResponse:
    """200 or 503 with the findings as JSON; 404 unless RQCRON_HEALTH_VIEW is True.

    ``path("cron-health/", include("rqcron_events.urls"))``. It names crons and runners; let only
    your probes reach it.
    """
    if not conf().health_view:
        raise Http404("Set RQCRON_HEALTH_VIEW = True to open this page to probes.")
    try:
        found = health()
        announce_health(health_view, found, waits=False)
    except DatabaseError:
        return JsonResponse(
            {"ok": False, "problems": ["The database does not answer."]}, status=503
        )
    return JsonResponse(found.to_data(), status=200 if found.ok else 503)
