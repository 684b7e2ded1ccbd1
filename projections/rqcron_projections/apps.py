"""The Django app of the projections."""

from __future__ import annotations

from collections.abc import Collection

from django.apps import AppConfig
from django.conf import settings

__all__ = ["RqcronProjectionsConfig"]


class RqcronProjectionsConfig(AppConfig):
    """Follows the ledger, wherever a runner leads."""

    name = "rqcron_projections"
    label = "rqcron_projections"
    verbose_name = "Cron projections"
    default_auto_field = "django.db.models.BigAutoField"

    def import_models(self) -> None:
        """Those of the signals, too: ``models`` knows nothing of them."""
        super().import_models()
        from .signals import models  # noqa: F401

    def ready(self) -> None:
        from rqcron_events.followers import register_follower

        from . import checks
        from .projector import position, problems

        checks.register_all()
        register_follower("projections", _follow, position, _build_again, problems)
        _start_alerts()
        _start_checkins()
        _start_traces()


def _start_alerts() -> None:
    """After the projections, by whose rows they begin."""
    from .signals.alerts import checks

    checks.register_all()
    if getattr(settings, "RQCRON_ALERTS", None):
        from rqcron_events.followers import register_follower
        from rqcron_events.signals import health_checked

        from .signals.alerts import follow, watch

        register_follower(
            "alerts", follow.follow, follow.position, problems=watch.problems, flush=watch.flush
        )
        health_checked.connect(watch.on_health)


def _start_checkins() -> None:
    from .signals.checkins import checks

    checks.register_all()
    if getattr(settings, "RQCRON_CHECKINS", None):
        from rqcron_events.followers import register_follower

        from .signals.checkins import courier, follow, watch

        register_follower(
            "checkins", follow.follow, follow.position, problems=watch.problems, flush=courier.flush
        )


def _start_traces() -> None:
    from .signals.traces import checks

    checks.register_all()
    if getattr(settings, "RQCRON_TRACES", None):
        from rqcron_events.followers import register_follower

        from .signals.traces import teller

        register_follower("traces", teller.follow, teller.position, flush=teller.flush)


def _follow() -> int:
    """What was made of events that are lost cannot be followed on: it is built again from the log."""
    from rqcron_events.followers import taking_long

    from .projector import PROJECTIONS, catch_up_some, of_another_history
    from .replay.rebuild import rebuild
    from .retention.remove import remove_when_due

    applied = catch_up_some()
    for projection in PROJECTIONS:
        if projection.retention is not None:
            remove_when_due(projection.name, projection.retention, projection.row_model)
    if names := of_another_history():
        with taking_long():
            applied += sum(done.events for done in rebuild(names))
    return applied


def _build_again(readers: Collection[str]) -> list[str]:
    from .fold_failed import reader_of
    from .projector import PROJECTIONS
    from .replay.rebuild import rebuild

    names = [item.name for item in PROJECTIONS if reader_of(item.name) in readers]
    return [done.projection for done in rebuild(names)] if names else []
