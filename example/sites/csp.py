"""A strict Content-Security-Policy, to show that the cron pages need no exception from it."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

__all__ = ["POLICY", "strict"]

POLICY = "default-src 'self'; frame-ancestors 'none'; form-action 'self'; base-uri 'none'"
DJANGO_RQ = "/django_rq/"
"""Its own pages have scripts in their markup."""


def strict(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[..., HttpResponse]:
    def with_policy(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if DJANGO_RQ not in request.path:
            response["Content-Security-Policy"] = POLICY
        return response

    return with_policy
