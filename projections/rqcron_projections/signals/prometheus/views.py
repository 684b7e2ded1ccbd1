"""The page that Prometheus scrapes."""

from __future__ import annotations

from hmac import compare_digest

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from .exposition import CONTENT_TYPE
from .scrape import scrape

__all__ = ["metrics_view"]

SCHEME = "Bearer "


@transaction.non_atomic_requests  # ATOMIC_REQUESTS would wait for the database before the view
@require_safe
@never_cache
def metrics_view(request: HttpRequest) -> HttpResponseBase:
    """All metrics as text, for staff and for who has django-rq's ``RQ_API_TOKEN``; else 401.

    ``path("cron-metrics/", include("rqcron_projections.signals.prometheus.urls"))``.
    ``?histograms=cron`` adds the histograms of each cron.
    """
    if not _is_authorized(request):
        problem = "Missing bearer token. Set RQ_API_TOKEN and send it: Authorization: Bearer TOKEN."
        headers = {"WWW-Authenticate": "Bearer"}
        return JsonResponse({"error": True, "description": problem}, status=401, headers=headers)
    text = scrape(buckets_by_cron=request.GET.get("histograms") == "cron")
    return HttpResponse(text, content_type=CONTENT_TYPE)


def _is_authorized(request: HttpRequest) -> bool:
    """As django-rq does it; but by the token first, because a session asks the database."""
    token = getattr(settings, "RQ_API_TOKEN", "")
    header = request.headers.get("Authorization", "")
    if header.startswith(SCHEME):
        given = header.removeprefix(SCHEME).strip()
        return bool(token and compare_digest(given.encode(), str(token).encode()))
    user = getattr(request, "user", None)
    return bool(getattr(user, "is_staff", False))
