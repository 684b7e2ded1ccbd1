"""Events with what shows that they are in the sealed log, for somebody who has neither log nor database."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

from ..core.seal.leaf import leaf
from ..core.seal.merkle import inclusion_proof, leaf_hash
from ..core.seal.note import Verifier
from ..core.seal.tiles import TileMissing
from ..errors import CronConfigError, SealBroken
from ..ledger import store
from ..ledger.backend import backend_of
from ..models import CronEvent
from .stored import StoredTiles, newest_seal, seals

__all__ = ["FORMAT", "proof_of"]

FORMAT = "rqcron-events proof 1"


def proof_of(event_ids: Iterable[int], key: Verifier) -> dict[str, Any]:
    """JSON-ready: the newest checkpoint, and of each event its leaf and the path from there to the root.
    Events that are not sealed yet are only named.

    Raises CronConfigError when none of them is sealed, SealBroken for one that is not what was sealed.
    """
    seal, wanted = newest_seal(), sorted(set(event_ids))
    sealed = [id_ for id_ in wanted if seal is not None and id_ <= seal.last_id]
    if seal is None or not sealed:
        raise CronConfigError(
            "None of these events is sealed yet, so there is no proof. Seal them: manage.py cron_seal"
        )
    db, tiles = store.connection(), StoredTiles()
    events = []
    for row in backend_of(db).read_ids(db, sealed):
        index, content = _index(row[0]), leaf(row)
        hash_ = leaf_hash(content)
        try:
            path = inclusion_proof(index, seal.size, tiles.subtree)
        except TileMissing as error:
            raise SealBroken(
                f"A stored tile is damaged ({error}). See cron_verify --all."
            ) from error
        if tiles.leaf(index) != hash_:
            raise SealBroken(f"Event {row[0]} is not what was sealed. See cron_verify --all.")
        encoded = [base64.b64encode(each).decode() for each in path]
        events.append({"index": index, "leaf": content.decode(), "path": encoded})
    return {
        "format": FORMAT,
        "checkpoint": seal.note,
        "key": key.text,
        "events": events,
        "unsealed": wanted[len(sealed) :],
    }


def _index(event_id: int) -> int:
    """Its number among all events, from 0; the seals know it for the last event of each."""
    seal = seals().filter(last_id__lt=event_id).order_by("-last_id").first()
    size, last_id = (seal.size, seal.last_id) if seal else (0, 0)
    events = CronEvent.objects.using(store.connection().alias)
    return size + events.filter(id__gt=last_id, id__lte=event_id).count() - 1
