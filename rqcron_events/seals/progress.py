"""How far somebody got, and what was wrong at last."""

from __future__ import annotations

from django.db.models import QuerySet

from .. import clock
from ..conf import conf
from ..models import SealProgress

__all__ = [
    "ARCHIVING",
    "SEALING",
    "VERIFYING",
    "failed",
    "of_receiver",
    "progress",
    "rows",
    "succeeded",
]

SEALING = "sealing"
VERIFYING = "verify"
ARCHIVING = "archive"
"""Its size is up to where the tiles of archived events are removed."""
TOLD_CHARS_MAX = 1_000


def of_receiver(name: str) -> str:
    return f"receiver:{name}"


def rows() -> QuerySet[SealProgress]:
    return SealProgress.objects.using(conf().database)


def progress(name: str) -> SealProgress | None:
    return rows().filter(name=name).first()


def succeeded(name: str, size: int, told: str = "") -> None:
    """It is all right up to this size."""
    rows().update_or_create(
        name=name,
        defaults={
            "size": size,
            "at": clock.now(),
            "failing_since": None,
            "told": told[:TOLD_CHARS_MAX],
        },
    )


def failed(name: str, why: str) -> bool:
    """Note what is wrong; True when it was all right before."""
    before = progress(name)
    since = before.failing_since if before else None
    now = clock.now()
    told = {"at": now, "failing_since": since or now, "told": why[:TOLD_CHARS_MAX]}
    rows().update_or_create(name=name, defaults=told)
    return since is None
