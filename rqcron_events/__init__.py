"""rqcron-events: an event-sourced cron ledger for Django and RQ.

The names here are the public surface; they load on first use, because Django imports this package
before its apps are ready.

Beside the packages, each with a docstring of its own: ``registry`` (``@register_cron``) and
``cron_options`` (which options are right), ``models``, ``conf`` (every setting), ``checks``, ``worker`` (the
RQ job and its callbacks), ``views`` and ``urls`` (the health page), ``testing``, and leaves that
everything may import: ``errors``, ``clock``, ``signals``, ``followers``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .core.definition import Cadence, CatchUp, Overlap
    from .ledger.follow import follow, tail
    from .operations.backfill import backfill
    from .operations.cancel import cancel_queued, cancel_run
    from .operations.controls import pause, pause_all, rerun, resume, resume_all, trigger
    from .queries.audit import audit
    from .queries.explain import explain
    from .registry import register_cron
    from .signals import event_appended
    from .worker import DeclineRun, current_run

__all__ = [
    "Cadence",
    "CatchUp",
    "DeclineRun",
    "Overlap",
    "audit",
    "backfill",
    "cancel_queued",
    "cancel_run",
    "current_run",
    "event_appended",
    "explain",
    "follow",
    "pause",
    "pause_all",
    "register_cron",
    "rerun",
    "resume",
    "resume_all",
    "tail",
    "trigger",
]
__version__ = "0.1.0"

_HOMES = {
    "Cadence": "core.definition",
    "CatchUp": "core.definition",
    "DeclineRun": "worker",
    "Overlap": "core.definition",
    "audit": "queries.audit",
    "backfill": "operations.backfill",
    "cancel_queued": "operations.cancel",
    "cancel_run": "operations.cancel",
    "current_run": "worker",
    "event_appended": "signals",
    "explain": "queries.explain",
    "follow": "ledger.follow",
    "pause": "operations.controls",
    "pause_all": "operations.controls",
    "register_cron": "registry",
    "rerun": "operations.controls",
    "resume": "operations.controls",
    "resume_all": "operations.controls",
    "tail": "ledger.store",
    "trigger": "operations.controls",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    """The public names too, before their first use: shells complete what this lists."""
    return sorted({*globals(), *__all__})
