"""Signals for projects that want to react to the ledger."""

from __future__ import annotations

from django.dispatch import Signal

__all__ = ["event_appended"]

event_appended = Signal()
"""Sent after an event was appended, with ``event``, a ``core.events.Event``.

Receivers run in the process that appended: the runner, a worker, a management command. An
exception in a receiver is logged and changes nothing. Inside ``transaction.atomic`` the
transaction may still be rolled back. Use it for alerts; to build state, tail the log instead.
"""
