"""Where rows of runs end, for pages that show them."""

from __future__ import annotations

from datetime import datetime

from rqcron_events.core.wording import shower_in

from ...retention.kept import removed_words, runs_kept_from
from .banner import Note
from .frame import Frame

__all__ = ["note_where_rows_end"]


def note_where_rows_end(frame: Frame, since: datetime) -> None:
    """In the banner, where the page shows runs that were asked for from ``since`` on and some of them have
    no rows any more."""
    kept_from = runs_kept_from()
    if kept_from is not None and since < kept_from:
        text = removed_words(kept_from, shower_in(frame.zones.of()))
        frame.notes.append(Note(text, is_fault=False))
