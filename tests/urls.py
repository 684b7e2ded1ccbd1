from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("cron-health/", include("rqcron_events.urls")),
    path("cron-metrics/", include("rqcron_projections.signals.prometheus.urls")),
]
