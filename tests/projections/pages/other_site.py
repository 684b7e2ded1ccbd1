"""URLs of a project whose admin is a site of its own."""

from __future__ import annotations

from django.contrib.admin import AdminSite
from django.urls import path
from rqcron_projections.admin import CronPages
from rqcron_projections.models import CronJob

site = AdminSite(name="ops")
site.register(CronJob, CronPages)
urlpatterns = [path("backstage/", site.urls)]
