"""The Django app of the projections."""

from __future__ import annotations

from django.apps import AppConfig

__all__ = ["RqcronProjectionsConfig"]


class RqcronProjectionsConfig(AppConfig):
    """Follows the ledger, wherever a runner leads."""

    name = "rqcron_projections"
    label = "rqcron_projections"
    verbose_name = "Cron projections"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from rqcron_events.followers import register_follower

        from . import checks
        from .projector import catch_up_some, position

        checks.register_all()
        register_follower("projections", catch_up_some, position)
