"""One file for each projection: from a row and an event to the row after it.

Everything is pure: no database, no clock, so a replay gives the same rows as the live fold. It may
import the core, and of this app ``models``, ``projection``, ``gathering``, ``replay_hints``, ``rows``
and ``histogram``; never ``replay``, ``report`` or ``projector``. Start with ``runners``, the smallest;
``cron_status`` and ``day_totals`` are parts of ``crons`` and ``days``.
"""
