"""Signals for projects that want to react to the ledger."""

from __future__ import annotations

import logging

from django.dispatch import Signal

__all__ = ["announce_health", "event_appended", "health_checked"]

log = logging.getLogger(__name__)

event_appended = Signal()
"""Sent after an event was appended, with ``event``, a ``core.events.Event``.

Receivers run in the process that appended: the runner, a worker, a management command. An
exception in a receiver is logged and changes nothing. Inside ``transaction.atomic`` the
transaction may still be rolled back. Use it for alerts; to build state, tail the log instead.
"""

health_checked = Signal()
"""Sent by ``cron_health`` and the health page after they looked, with ``health``, a
``queries.health.Health``, and ``waits``: True when the process ends afterwards. Whoever has to act where no
runner is left can do it here."""


def announce_health(sender: object, health: object, *, waits: bool) -> None:
    """Send ``health_checked``; a receiver that raises changes nothing."""
    for receiver, answer in health_checked.send_robust(sender, health=health, waits=waits):
        if isinstance(answer, Exception):
            log.error(
                "A receiver of health_checked raised %s: %s",
                type(answer).__name__,
                answer,
                extra={"action": "receiver_failed", "receiver": repr(receiver)},
            )
