"""``path("cron-metrics/", include("rqcron_projections.signals.prometheus.urls"))``."""

from __future__ import annotations

from django.urls import path

from .views import metrics_view

app_name = "rqcron_prometheus"
urlpatterns = [path("", metrics_view, name="metrics")]
