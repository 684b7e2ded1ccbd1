"""Where rows of runs end, and where the log begins, for pages that show them."""

from __future__ import annotations

from datetime import datetime

from rqcron_events.core.wording import shower_in
from rqcron_events.ledger.lookup import archived_until

from ...retention.kept import removed_words, runs_kept_from
from .banner import Note
from .frame import Frame

__all__ = ["note_where_log_begins", "note_where_rows_end"]


def note_where_rows_end(frame: Frame, since: datetime) -> None:
    """In the banner, where the page shows runs that were asked for from ``since`` on and some of them have
    no rows any more."""
    kept_from = runs_kept_from()
    if kept_from is not None and since < kept_from:
        text = removed_words(kept_from, shower_in(frame.zones.of()))
        frame.notes.append(Note(text, is_fault=False))


def note_where_log_begins(frame: Frame, since: datetime | None) -> None:
    """In the banner, where the page shows events from ``since`` (None: the beginning) on and some of them are
    archived."""
    until = archived_until()
    if until is not None and (since is None or since <= until):
        at = shower_in(frame.zones.of())(until)
        text = (
            f"Events up to {at} are archived, and this page does not read the archive. The pages of "
            "slots and runs, cron_explain, cron_audit and cron_events read it."
        )
        frame.notes.append(Note(text, is_fault=False))
