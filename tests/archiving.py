"""An archived log: segments in a directory, and what stays of their events in the log."""

from __future__ import annotations

import hashlib
import io
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import connection

from rqcron_events.core.archive.segment import SegmentWriter, segment_path
from rqcron_events.core.events import DECISIONS, DEFINITION_TYPES, LEDGER_STREAM, cron_stream
from rqcron_events.core.seal.merkle import Frontier, leaf_hash
from rqcron_events.ledger.backend import backend_of
from rqcron_events.models import CronEvent, CronSeal, CronSegment, CronTile
from tests.sealing import KEY, execute, seal_in_parts

ALIAS = "archive"
ASKED = ("slot_fired", "run_requested")


def use_storage(settings: Any, directory: Path) -> None:
    """Segments go there."""
    settings.RQCRON_SEAL_KEY = KEY.secret_text()
    settings.STORAGES = {
        **settings.STORAGES,
        ALIAS: {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": str(directory)},
        },
    }


def archive(events: int, *, per_seal: int = 1, delete: bool = True) -> CronSegment:
    """The next so many events (or a few more, to the end of a seal) become a segment; what the design lets go
    of them goes."""
    seal_in_parts(per_seal)
    last = CronSegment.objects.order_by("size").last()
    first, last_id = (last.size, last.last_id) if last else (0, 0)
    seal = CronSeal.objects.filter(size__gte=first + events).order_by("size").first()
    assert seal is not None
    db = connection
    before = [row for segment in CronSegment.objects.order_by("size") for row in _lines(segment)]
    frontier = Frontier()
    for line in before:
        frontier.push(leaf_hash(line))
    rows = backend_of(db).read(db, last_id, seal.last_id, 1_000_000)
    writer = SegmentWriter(io.BytesIO(), frontier)
    writer.add(rows)
    out = io.BytesIO()
    header = writer.finish(out, KEY.name, seal.note)
    path = segment_path(header.first, header.size)
    storages[ALIAS].save(path, ContentFile(out.getvalue()))
    segment = CronSegment.objects.create(
        first=header.first,
        size=header.size,
        first_id=header.first_id,
        last_id=header.last_id,
        occurred_from=_time(header.occurred[0]),
        occurred_to=_time(header.occurred[1]),
        storage=ALIAS,
        path=path,
        sha256=hashlib.sha256(out.getvalue()).hexdigest(),
        bytes=len(out.getvalue()),
    )
    if delete:
        gone = sorted(set(_ids_to(header.last_id)) - kept(header.last_id))
        for start in range(0, len(gone), 500):
            marks = ", ".join(map(str, gone[start : start + 500]))
            execute(f"DELETE FROM rqcron_event WHERE id IN ({marks})")
        full = header.size // 256
        CronTile.objects.filter(path__in=[f"0/{number:03d}" for number in range(full)]).delete()
    return segment


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _lines(segment: CronSegment) -> list[bytes]:
    from rqcron_events.seals.segments import lines_of

    return list(lines_of(segment))


def _ids_to(last_id: int) -> list[int]:
    return list(CronEvent.objects.filter(id__lte=last_id).values_list("id", flat=True))


def kept(last_id: int) -> set[int]:
    """The events that stay in the log."""
    rows = CronEvent.objects.filter(id__lte=last_id)
    found = set(
        rows.filter(stream=LEDGER_STREAM).values_list("id", flat=True)
    ) | set(rows.filter(type__in=DEFINITION_TYPES).values_list("id", flat=True))
    decisive = set[int]()
    for name in set(rows.exclude(cron="").values_list("cron", flat=True)):
        own = rows.filter(stream=cron_stream(name)).order_by("-version")
        decisive |= set(own.values_list("id", flat=True)[:1])
        decisions = own.filter(type__in=sorted(DECISIONS))
        decisive |= set(decisions.values_list("id", flat=True)[:1])
    found |= decisive
    later = CronEvent.objects.filter(id__gt=last_id).exclude(reason="archived")
    runs = set(later.filter(run_id__isnull=False).values_list("run_id", flat=True))
    runs |= set(rows.filter(id__in=decisive, run_id__isnull=False).values_list("run_id", flat=True))
    found |= set(rows.filter(run_id__in=runs).values_list("id", flat=True))
    started = rows.filter(type="runner_started").order_by("-id")
    found |= set(started.values_list("id", flat=True)[:1])
    ended = rows.filter(type__in=["runner_stopped", "runner_lost"]).values_list("stream", flat=True)
    found |= set(started.exclude(stream__in=list(ended)).values_list("id", flat=True))
    return found


def unreachable(directory: Path) -> None:
    """Nobody finds the segments any more."""
    directory.rename(directory.with_name(f"{directory.name}_gone"))


def forget_files() -> None:
    """What this process knows of segments."""
    from rqcron_events.seals import segments

    segments._files.clear()
