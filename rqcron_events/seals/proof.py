"""Events with what shows that they are in the sealed log, for somebody who has neither log nor database."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ..core.archive.row import row_of
from ..core.seal.leaf import leaf
from ..core.seal.merkle import inclusion_proof, leaf_hash
from ..core.seal.note import Verifier
from ..core.seal.tiles import TileMissing
from ..errors import CronConfigError, SealBroken
from ..ledger import store
from ..ledger.backend import backend_of
from ..models import CronEvent
from .segments import WholeTiles, lines_of, segments
from .stored import newest_seal, seals

__all__ = ["FORMAT", "proof_of"]

FORMAT = "rqcron-events proof 1"


def proof_of(event_ids: Iterable[int], key: Verifier) -> dict[str, Any]:
    """JSON-ready: the newest checkpoint, and of each event its leaf and the path from there to the root.
    Events that are not sealed yet are only named.

    Raises CronConfigError when none of them is sealed, SealBroken for one that is not what was sealed,
    SegmentUnavailable where one is archived and out of reach.
    """
    seal, wanted = newest_seal(), sorted(set(event_ids))
    sealed = [id_ for id_ in wanted if seal is not None and id_ <= seal.last_id]
    if seal is None or not sealed:
        raise CronConfigError(
            "None of these events is sealed yet, so there is no proof. Seal them: manage.py cron_seal"
        )
    tiles = WholeTiles()
    events = []
    for event_id, index, content in _contents(sealed):
        hash_ = leaf_hash(content)
        try:
            path = inclusion_proof(index, seal.size, tiles.subtree)
        except TileMissing as error:
            raise SealBroken(
                f"A stored tile is damaged ({error}). See cron_verify --all."
            ) from error
        if tiles.leaf(index) != hash_:
            raise SealBroken(f"Event {event_id} is not what was sealed. See cron_verify --all.")
        encoded = [base64.b64encode(each).decode() for each in path]
        events.append({"index": index, "leaf": content.decode(), "path": encoded})
    return {
        "format": FORMAT,
        "checkpoint": seal.note,
        "key": key.text,
        "events": events,
        "unsealed": wanted[len(sealed) :],
    }


def _contents(event_ids: Sequence[int]) -> Iterator[tuple[int, int, bytes]]:
    """Of each event its number among all and its leaf; those of archived ones are in segments."""
    wanted, end = set(event_ids), 0
    for segment in segments().filter(first_id__lte=event_ids[-1]):
        end = segment.last_id
        if any(segment.first_id <= id_ <= end for id_ in event_ids):
            for index, line in enumerate(lines_of(segment), segment.first):
                id_ = row_of(line)[0]
                if id_ in wanted:
                    yield id_, index, line
    db = store.connection()
    for row in backend_of(db).read_ids(db, [id_ for id_ in event_ids if id_ > end]):
        yield row[0], _index(row[0]), leaf(row)


def _index(event_id: int) -> int:
    """Its number among all events, from 0; the seals know it for the last event of each."""
    seal = seals().filter(last_id__lt=event_id).order_by("-last_id").first()
    size, last_id = (seal.size, seal.last_id) if seal else (0, 0)
    events = CronEvent.objects.using(store.connection().alias)
    return size + events.filter(id__gt=last_id, id__lte=event_id).count() - 1
