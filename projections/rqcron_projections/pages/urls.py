"""Which pages there are, and their addresses: one list."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any

from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path

from ..models import CronJob
from .actions import view as actions
from .cron import view as cron
from .frame.frame import Page, serve
from .frame.permissions import VIEW_RUNS
from .load import view as load
from .log import view as log
from .overview import view as overview
from .report import view as report
from .run import view as run
from .slot import view as slot

__all__ = ["OVERVIEW", "PAGES", "page_urls", "served"]

SEE_EVENTS = ("rqcron_events.view_cronevent",)
SEE_RUNS = (VIEW_RUNS,)

OVERVIEW = Page(name="overview", path="", view=overview.overview, title="Overview")
PAGES = (
    OVERVIEW,
    Page(name="cron", path="cron/<str:cron>/", view=cron.cron_page),
    Page(name="slot_at", path="cron/<str:cron>/slot/", view=slot.slot_at),
    Page(name="slot", path="cron/<str:cron>/slot/<str:instant>/", view=slot.slot_page),
    Page(name="run", path="run/<uuid:run>/", view=run.run_page, needs=SEE_RUNS),
    Page(name="log", path="log/", view=log.log_page, title="Log", needs=SEE_EVENTS),
    Page(name="log_tail", path="log/tail/", view=log.log_tail, needs=SEE_EVENTS),
    Page(name="event", path="log/<int:event>/", view=log.event_page, needs=SEE_EVENTS),
    Page(name="report", path="report/", view=report.report_page, title="Report"),
    Page(name="load", path="load/", view=load.load_page, title="Load"),
    Page(name="action", path="do/<str:action>/", view=actions.action_page, changes=True),
)


def page_urls(admin: ModelAdmin[CronJob]) -> list[URLPattern]:
    """For ``get_urls`` of a ModelAdmin."""
    return [path(page.path, served(page, admin), name=f"rqcron_{page.name}") for page in PAGES]


def served(page: Page, admin: ModelAdmin[CronJob]) -> Callable[..., HttpResponse]:
    """The page as a view of the admin site: it asks for the login, and checks CSRF."""

    def view(request: HttpRequest, **parts: Any) -> HttpResponse:
        return serve(page, PAGES, admin, request, parts)

    return admin.admin_site.admin_view(update_wrapper(view, page.view))
