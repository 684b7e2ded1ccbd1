"""The Django app of the projections."""

from __future__ import annotations

from django.apps import AppConfig

__all__ = ["RqcronProjectionsConfig"]


class RqcronProjectionsConfig(AppConfig):
    name = "rqcron_projections"
    label = "rqcron_projections"
    verbose_name = "Cron projections"
    default_auto_field = "django.db.models.BigAutoField"
