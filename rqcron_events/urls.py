"""``path("cron-health/", include("rqcron_events.urls"))``."""

from __future__ import annotations

from django.urls import path

from .views import health_view

app_name = "rqcron_events"
urlpatterns = [path("", health_view, name="health")]
