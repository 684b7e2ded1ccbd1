"""The Django app of the ledger."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder
from django.db.models.signals import post_migrate, pre_migrate

from .followers import register_follower

__all__ = ["RqcronEventsConfig"]


class RqcronEventsConfig(AppConfig):
    """Discovers crons at start-up, so that RQ's work-horses inherit them by fork."""

    name = "rqcron_events"
    label = "rqcron_events"
    verbose_name = "Cron ledger"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks
        from .process.warm import warm_before_forks
        from .registry import registry

        checks.register_all()
        registry.discover()
        warm_before_forks()
        follow_with_seals()
        let_old_texts_go()
        pre_migrate.connect(lift_triggers, sender=self)
        post_migrate.connect(reinstall_triggers, sender=self)


def follow_with_seals() -> None:
    """Where the project has a key. What is wrong with the settings is said by the checks."""
    if not getattr(settings, "RQCRON_SEAL_KEY", ""):
        return

    def seal() -> int:
        from .seals.follower import seal_when_due

        return seal_when_due()

    def archive() -> int:
        from .archive.follower import archive_when_due

        return archive_when_due()

    register_follower("seals", seal)
    register_follower("archive", archive)


def lift_triggers(*, using: str, **_: Any) -> None:
    """Those that would stop a migration; it puts them back in the end."""
    from .conf import conf
    from .ledger.backend import backend_of

    if using == conf().database:
        backend_of(connections[using]).lift_for_migrations(connections[using])


def let_old_texts_go() -> None:
    """Where the project says how long texts are kept."""
    if getattr(settings, "RQCRON_TEXT_DAYS", None) is None:
        return

    def expire() -> int:
        from .operations.redact import expire_when_due

        return expire_when_due()

    register_follower("texts", expire)


def reinstall_triggers(*, using: str, **_: Any) -> None:
    """Put back what is missing or changed: Django alters a SQLite table by remaking it, which drops
    the triggers."""
    from .conf import conf
    from .ledger.backend import backend_of

    if using != conf().database:
        return
    db = connections[using]
    part = backend_of(db)
    if "rqcron_event" not in db.introspection.table_names():
        return
    if any(problem.check == "E005" for problem in part.problems(db)):
        part.install_triggers(db)
    if doors_migrated(db):
        part.install_checks(db)


def doors_migrated(db: BaseDatabaseWrapper) -> bool:
    """Not when somebody migrates back to an older state."""
    applied = MigrationRecorder(db).applied_migrations()
    return ("rqcron_events", "0003_doors") in applied
