"""The pages in Django's admin; read ``pages`` for what they are.

Django imports this file only where ``django.contrib.admin`` is installed, and in every process: the
pages themselves are imported by those that serve them. On another ``AdminSite`` than the default
one: ``site.register(CronJob, CronPages)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern

from .models import CronJob

if TYPE_CHECKING:
    CronAdmin = admin.ModelAdmin[CronJob]
else:
    CronAdmin = admin.ModelAdmin

__all__ = ["CronPages"]


@admin.register(CronJob)
class CronPages(CronAdmin):
    """One entry: the overview in the place of a change list, and all other pages below its path."""

    def get_urls(self) -> list[URLPattern]:
        from .pages.urls import page_urls

        return [*page_urls(self), *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        from .pages.urls import OVERVIEW, served

        return served(OVERVIEW, self)(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: CronJob | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: CronJob | None = None) -> bool:
        return False
