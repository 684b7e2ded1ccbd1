from django.urls import include, path

urlpatterns = [path("cron-health/", include("rqcron_events.urls"))]
