"""An archived log: segments in a directory, and what stays of their events in the log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rqcron_events.archive.place import place
from rqcron_events.archive.removing import remove_rows, remove_tiles
from rqcron_events.archive.writing import write_segment
from rqcron_events.models import CronSeal, CronSegment
from rqcron_events.seals import segments
from tests.sealing import KEY, seal_in_parts

ALIAS = "archive"


def use_storage(settings: Any, directory: Path) -> None:
    """Segments go there."""
    settings.RQCRON_SEAL_KEY = KEY.secret_text()
    settings.RQCRON_ARCHIVE = {"storage": ALIAS}
    settings.STORAGES = {
        **settings.STORAGES,
        ALIAS: {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": str(directory)},
        },
    }


def archive(events: int, *, per_seal: int = 1, delete: bool = True) -> CronSegment:
    """The next so many events (or a few more, to the end of a seal) become a segment; what the design lets go
    of them goes. As a pass does it, but for the event that says so: ids go on as without an archive."""
    seal_in_parts(per_seal)
    last = CronSegment.objects.order_by("size").last()
    first, last_id = (last.size, last.last_id) if last else (0, 0)
    seal = CronSeal.objects.filter(size__gte=first + events).order_by("size").first()
    assert seal is not None
    segment = write_segment(first, last_id, seal, place())
    segment.save(force_insert=True)
    if delete:
        remove_rows(segment.last_id)
        remove_tiles(segment.size)
    return segment


def unreachable(directory: Path) -> None:
    """Nobody finds the segments any more."""
    directory.rename(directory.with_name(f"{directory.name}_gone"))


def forget_files() -> None:
    """What this process knows of segments."""
    segments._files.clear()
