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

from rqcron_events.core.words.apart import without_run_texts
from rqcron_events.models import CronEvent, CronLease, QuarantinedEvent

from .models import Checkpoint, CronDay, CronJob, CronRun, CronStatusChange, RunnerSession
from .pages.frame.permissions import VIEW_RUNS, may_view
from .pages.read_only import ReadOnly, text_column

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


# The tables themselves, for those who know where to look.


@admin.register(CronRun)
class CronRunAdmin(ReadOnly):
    ordering = ("-requested_at", "run_id")
    list_display = (
        "run_id", text_column("cron"), "slot", "trigger", "status", "requested_at",
        "queue_wait_seconds", "duration_seconds", "attempts", text_column("outcome_reason"),
    )  # fmt: skip
    sortable_by = ("requested_at",)
    list_filter = ("status",)
    search_fields = ("cron__exact",)
    search_help_text = "The whole stored name of a cron"


@admin.register(CronDay)
class CronDayAdmin(ReadOnly):
    ordering = ("-day", "cron")
    list_display = (
        "day", text_column("cron"), "fired", "skipped", "missed", "succeeded", "failed", "lost",
    )  # fmt: skip
    sortable_by = ("day",)
    search_fields = ("cron__exact",)
    search_help_text = "The whole stored name of a cron"


@admin.register(CronStatusChange)
class CronStatusChangeAdmin(ReadOnly):
    ordering = ("-event_id",)
    list_display = ("event_id", text_column("cron"), "at", "from_status", "to_status", "run_id")
    sortable_by = ("event_id",)
    search_fields = ("cron__exact",)
    search_help_text = "The whole stored name of a cron"


@admin.register(RunnerSession)
class RunnerSessionAdmin(ReadOnly):
    ordering = ("-started_at", "session")
    list_display = ("session", "host", "pid", "code", "crons", "started_at", "ended_at", "ended")
    sortable_by = ("started_at",)


@admin.register(Checkpoint)
class CheckpointAdmin(ReadOnly):
    list_display = ("name", "version", "position", "updated_at")
    ordering = ("name",)


@admin.register(CronEvent)
class CronEventAdmin(ReadOnly):
    ordering = ("-id",)
    list_display = (
        "id", "type", text_column("cron"), "run_id", "attempt", "scheduled_for",
        text_column("reason"), text_column("actor"), "occurred_at", "recorded_at",
    )  # fmt: skip
    sortable_by = ()
    search_fields = ("cron__exact",)
    search_help_text = "The whole stored name of a cron. The page Log finds more."

    def get_object(self, request: HttpRequest, *args: Any, **options: Any) -> CronEvent | None:
        """An early log has texts in its events: for who may see runs, as everywhere."""
        row: CronEvent | None = super().get_object(request, *args, **options)
        if row is not None and isinstance(row.data, dict) and not may_view(request.user, VIEW_RUNS):
            row.data = without_run_texts(row.data)
        return row


@admin.register(CronLease)
class CronLeaseAdmin(ReadOnly):
    ordering = ("name",)
    list_display = ("name", "holder", "renewed_at")


@admin.register(QuarantinedEvent)
class QuarantinedEventAdmin(ReadOnly):
    ordering = ("event_id", "reader")
    list_display = (
        "event_id", "reader", text_column("stream"), text_column("cron"), text_column("error"),
        "noticed_at",
    )  # fmt: skip
