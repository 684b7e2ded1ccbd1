"""A request for one of the pages, with what every page needs, and the response made of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from rqcron_events import clock
from rqcron_events.errors import CronError, UnknownCron, UnknownRun
from rqcron_events.ledger import store
from rqcron_events.ledger.backend import backend_of

from ...models import CronJob
from ..drawing.marks import Fate
from .banner import Note, bring_up_to_date, notes, trouble
from .links import django_rq_url, page_url
from .permissions import VIEW_RUNS, Action, may, may_view
from .zones import PARAMETER, Zones, keep_choice, zones_of

__all__ = ["Frame", "Page", "View", "serve"]

LOCK_SECONDS_MAX = 1.0
STATEMENT_SECONDS_MAX = 10.0
"""A page may be late; it may not hang."""

View = Callable[..., HttpResponse]
"""Gets the Frame, and the parts of the path by their names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One of the pages."""

    name: str
    """Its address is named ``admin:rqcron_<name>``."""
    path: str
    """Below that of the overview."""
    view: View
    title: str = ""
    """In the navigation between the pages; empty: it is not there."""
    needs: tuple[str, ...] = ()
    """Permissions besides that to view crons."""
    changes: bool = False
    """A page that appends events has transactions of its own; all others are bounded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What a view gets in the place of a bare request."""

    request: HttpRequest
    admin: ModelAdmin[CronJob]
    page: Page
    pages: tuple[Page, ...]
    """All of them."""
    zones: Zones
    now: datetime
    notes: list[Note] = field(default_factory=list)
    """For the banner, before those that all pages have."""

    @property
    def site(self) -> str:
        return self.admin.admin_site.name

    @property
    def alias(self) -> str:
        """The database of the log and of its projections."""
        return store.connection().alias

    @property
    def other_parameters(self) -> list[tuple[str, str]]:
        """Of the address, without the choice of the zone: a form repeats them."""
        given = self.request.GET.lists()
        return [(name, str(item)) for name, items in given if name != PARAMETER for item in items]

    def url(self, page: str, *parts: str | datetime | UUID | int) -> str:
        """The path of another page: ``frame.url("slot", name, instant)``."""
        return page_url(self.site, page, *parts)

    def may(self, action: Action) -> bool:
        return may(self.request.user, action)

    def may_see(self, page: Page) -> bool:
        return may_view(self.request.user, *page.needs)

    @property
    def sees_runs(self) -> bool:
        """Whether the viewer may read what errors said and what runs returned, too: without it, pages show
        the types of errors."""
        return may_view(self.request.user, VIEW_RUNS)

    def render(
        self,
        template: str,
        context: Mapping[str, Any],
        *,
        title: str,
        status: int = 200,
        with_banner: bool = True,
    ) -> HttpResponse:
        """The page as a whole. ``template`` extends ``rqcron/page.html``."""
        return render(
            self.request,
            template,
            {
                **self.admin.admin_site.each_context(self.request),
                "is_nav_sidebar_enabled": False,  # tables need the width, and pages have their own
                "title": title,
                "opts": self.admin.opts,
                "frame": self,
                "pages": [item for item in self.pages if item.title and self.may_see(item)],
                "fates": list(Fate),
                "banner": [*self.notes, *notes()] if with_banner else self.notes,
                "may": {action.value: self.may(action) for action in Action},
                "django_rq": django_rq_url("django_rq_home"),
                **context,
            },
            status=status,
        )


def serve(
    page: Page,
    pages: tuple[Page, ...],
    admin: ModelAdmin[CronJob],
    request: HttpRequest,
    parts: Mapping[str, Any],
) -> HttpResponse:
    """The answer to a request for a page, whatever state the database is in."""
    request.current_app = admin.admin_site.name
    if not (admin.has_view_permission(request) and may_view(request.user, *page.needs)):
        raise PermissionDenied
    frame = Frame(
        request=request,
        admin=admin,
        page=page,
        pages=pages,
        zones=zones_of(request),
        now=clock.now(),
    )
    try:
        response = page.view(frame, **parts) if page.changes else _bounded(frame, parts)
    except (DatabaseError, CronError) as error:
        response = _problem(frame, error)
    keep_choice(request, response, frame.zones)
    return response


def _bounded(frame: Frame, parts: Mapping[str, Any]) -> HttpResponse:
    frame.notes.extend(bring_up_to_date())
    db = store.connection()
    with backend_of(db).not_waiting(db, LOCK_SECONDS_MAX, STATEMENT_SECONDS_MAX):
        return frame.page.view(frame, **parts)


def _problem(frame: Frame, error: DatabaseError | CronError) -> HttpResponse:
    """The page says what is wrong, and needs no table for that."""
    title, status = "This page cannot be shown", 503
    if isinstance(error, DatabaseError):
        problem = trouble(error)
    else:
        problem = str(error)
        if isinstance(error, (UnknownCron, UnknownRun)):
            title, status = "Not found", 404
    context = {"problem": problem}
    return frame.render(
        "rqcron/problem.html", context, title=title, status=status, with_banner=False
    )
