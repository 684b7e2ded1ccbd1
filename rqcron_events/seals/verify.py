"""Holding the log against its seals, and against checkpoints that were kept outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from django.db.models import Count, Q

from .. import clock
from ..core.seal.checkpoint import Checkpoint
from ..core.seal.merkle import Frontier, root_of
from ..core.seal.note import NoteRefused, Verifier
from ..core.seal.tiles import HASH_BYTES, WIDTH, TileMissing, tile_path, tile_root
from ..ledger import store
from ..ledger.follow import head
from ..models import CronEvent, CronSeal
from .archived.passage import Passage
from .difference import Finding, Kind
from .outside import Claim, Outside
from .progress import VERIFYING, failed, progress, rows, succeeded
from .stored import StoredTiles, newest_seal, seals, seals_after
from .texts import FAULTS_MAX, text_findings
from .walk import Tree, Walk

__all__ = ["OUTSIDE", "Verification", "verify"]

OUTSIDE = "verify:outside"
"""Progress of verifying against checkpoints from outside."""
REMEMBER_EVENTS = 100_000
TILES_AHEAD = 64


@dataclass(slots=True, kw_only=True)
class Verification:
    """What was compared, and what is wrong. All right when ``findings`` is empty."""

    findings: list[Finding] = field(default_factory=list)
    sealed_events: int = 0
    sealed_to: int = 0
    """The last event that is sealed."""
    seals: int = 0
    """Whose signature was checked."""
    checked_from: int = 0
    """How many events had been found right before, and were not read again."""
    checked_events: int = 0
    checkpoints: int = 0
    """From outside."""
    seconds: float = 0.0
    unsealed_events: int = 0
    unsealed_since: datetime | None = None
    archived_events: int = 0
    """In segments."""
    unchecked: list[str] = field(default_factory=list)
    """Why some of them could not be compared: segments that are out of reach."""

    @property
    def ok(self) -> bool:
        return not self.findings

    @property
    def events_per_second(self) -> float:
        return self.checked_events / self.seconds if self.seconds else 0.0

    def to_data(self) -> dict[str, Any]:
        since = self.unsealed_since
        return {
            "ok": self.ok,
            "findings": [finding.to_data() for finding in self.findings],
            "sealed_events": self.sealed_events,
            "sealed_to": self.sealed_to,
            "seals": self.seals,
            "checkpoints": self.checkpoints,
            "checked_from": self.checked_from,
            "checked_events": self.checked_events,
            "seconds": round(self.seconds, 3),
            "events_per_second": round(self.events_per_second),
            "unsealed_events": self.unsealed_events,
            "unsealed_since": since.isoformat() if since else None,
            "archived_events": self.archived_events,
            "unchecked": self.unchecked,
        }


def verify(
    keys: Sequence[Verifier],
    outside: Outside | None = None,
    *,
    start_over: bool = False,
    remember: bool = True,
) -> Verification:
    """Read the log from where the last verification ended, and compare.

    :param keys: whose signatures count; the first one's name is the log's.
    :param outside: what others were told.
    :param start_over: from the first event on. What an earlier call found right is otherwise left to the
        tiles, so a later change there is not found.
    :param remember: note how far it got, and what is wrong, in the database.

    Raises Django's database errors.
    """
    began_at = clock.monotonic_seconds()
    told = outside or Outside()
    found = Verification(checkpoints=len(told.claims) + len(told.refused))
    newest = newest_seal()
    if newest is not None:
        found.sealed_events, found.sealed_to = newest.size, newest.last_id
    found.findings += [Finding(kind=Kind.CHECKPOINT, text=text) for text in told.refused]
    if newest is None and not told.claims:
        text = "Nothing is sealed, and no checkpoint of this log was given: nothing was compared."
        found.findings.append(Finding(kind=Kind.NOT_SEALED, text=text))
    else:
        _compare(found, newest, list(keys), told, start_over=start_over, remember=remember)
    _count_unsealed(found)
    found.seconds = clock.monotonic_seconds() - began_at
    if remember and (newest is not None or told.claims):
        _remember(found, OUTSIDE if outside else VERIFYING)
    return found


def _compare(
    found: Verification,
    newest: CronSeal | None,
    keys: list[Verifier],
    told: Outside,
    *,
    start_over: bool,
    remember: bool,
) -> None:
    tiles = StoredTiles(TILES_AHEAD)
    start = None if start_over or newest is None else _start(keys, tiles)
    archived = Passage(start.size if start is not None else 0)
    found.archived_events = archived.size
    if start is not None and (
        start.size < archived.size or not _belong_together(told.claims, start, tiles, archived.size)
    ):
        start, archived = None, Passage(0)  # something before it is wrong: where?
    claims, faults = _claims_of_seals(keys, start, newest)
    found.seals = len(claims)
    found.findings += faults
    trees, faults = _trees(claims, told, tiles)
    found.findings += faults
    base = start or CronSeal(size=0, last_id=0)
    found.checked_from = base.size
    walk = Walk(
        base.size,
        base.last_id,
        Frontier.at(base.size, tiles.subtree),
        trees,
        agreed=base.size,
        archived=archived,
        stored=tiles,
    )
    later = [claim for claim in told.claims if claim.size > base.size]
    passed = _Remembering(remember, base.size)
    largest = max((claim.size for claim in (*claims, *later)), default=0)
    sealed = newest.size if newest else 0
    until = newest.last_id if newest and largest <= sealed else head()
    wrong = walk.along(sorted((*claims, *later), key=lambda claim: claim.size), until, passed.at)
    found.checked_events = walk.index - base.size - archived.skipped
    found.unchecked = archived.unchecked
    found.findings += [*archived.damaged, *walk.damaged]
    if wrong is not None:
        found.findings.append(wrong)
    if largest > sealed:
        text = f"A checkpoint from outside is about {largest} events, and only {sealed} are sealed here: "
        text += "seals were lost, or the log went back, as after a restored backup."
        found.findings.append(Finding(kind=Kind.SEAL, text=text))
    if wrong is None and newest is not None:
        found.findings += _more_than_sealed(newest, archived)
        if not walk.damaged:
            found.findings += _damaged_tiles(base.size, newest.size, tiles, archived.size)
    if archived.kept is not None:
        archived.kept.texts.end()
        found.findings += archived.kept.texts.findings
    found.findings += islice(text_findings(base.last_id, until), FAULTS_MAX)


def _trees(
    claims: Sequence[Claim], told: Outside, tiles: StoredTiles
) -> tuple[list[Tree], list[Finding]]:
    """Those from outside first, the largest of them: nobody who owns the database could change them."""
    outside = sorted(told.trees, key=lambda tree: -tree[0].size)
    trees = [
        Tree(size=claim.size, root=claim.root, load=load, source="by the tiles outside")
        for claim, load in outside
    ]
    own = claims[-1] if claims else None
    if own is None:
        return trees, []
    if _root(own.size, tiles) == own.root:
        stored = Tree(size=own.size, root=own.root, load=tiles, source="by the stored tiles")
        return [*trees, stored], []
    text = f"The stored tiles do not belong to the seal of {own.size} events."
    return trees, [Finding(kind=Kind.TILE, text=text)]


def _start(keys: list[Verifier], tiles: StoredTiles) -> CronSeal | None:
    """The seal up to which all was right, if its tiles are still there."""
    row = progress(VERIFYING)
    seal = seals().filter(size=row.size).first() if row and row.size else None
    if seal is None or _claim(seal, keys) is None or _root(seal.size, tiles) != bytes(seal.root):
        return None
    return seal


def _claim(seal: CronSeal, keys: list[Verifier]) -> Claim | None:
    """None where no known key signed what the row says."""
    try:
        point = Checkpoint.opened(seal.note, keys, keys[0].name)
    except NoteRefused:
        return None
    if (point.size, point.root) != (seal.size, bytes(seal.root)):
        return None
    return Claim(
        size=seal.size,
        root=point.root,
        source=f"the seal of {seal.size} events",
        is_outside=False,
        last_id=seal.last_id,
    )


def _claims_of_seals(
    keys: list[Verifier], start: CronSeal | None, newest: CronSeal | None
) -> tuple[list[Claim], list[Finding]]:
    """Those that are made meanwhile are left to the next verification."""
    claims: list[Claim] = []
    faults: list[Finding] = []
    before = start.size if start else 0
    for seal in seals_after(before, newest.size if newest else 0):
        claim = _claim(seal, keys)
        text = ""
        if claim is None:
            text = f"No known key signed the seal of {seal.size} events as it is stored."
        else:
            claims.append(claim)
        if seal.previous != before:
            text = f"A seal is missing between those of {before} and {seal.size} events."
        if text and len(faults) < FAULTS_MAX:
            faults.append(Finding(kind=Kind.SEAL, text=text, event_id=seal.last_id))
        before = seal.size
    return claims, faults


def _belong_together(
    claims: Sequence[Claim], start: CronSeal, tiles: StoredTiles, archived: int
) -> bool:
    """Whether the tiles before the start are those that others were told of, as far as they were not
    archived."""
    return all(
        root == claim.root or (claim.size <= archived and not root)
        for claim in claims
        if 0 < claim.size <= start.size
        for root in (_root(claim.size, tiles),)
    )


def _root(size: int, tiles: StoredTiles) -> bytes:
    """Empty where tiles are missing."""
    try:
        return root_of(size, tiles.subtree)
    except TileMissing:
        return b""


def _more_than_sealed(newest: CronSeal, archived: Passage) -> list[Finding]:
    """Events that no reader sees: ids below 1, and ids twice, as child tables allow."""
    events = CronEvent.objects.using(store.connection().alias).order_by()
    there = events.filter(
        Q(id__gt=archived.last_id, id__lte=newest.last_id) | Q(id__lt=1),
    )
    count, sealed = there.count(), newest.size - archived.size
    if count == sealed:
        return []
    odd = events.filter(id__lt=1).values_list("id", flat=True).first()
    if odd is None:
        twice = there.values_list("id").annotate(n=Count("id"))
        odd = twice.filter(n__gt=1).values_list("id", flat=True).first()
    text = f"Up to event {newest.last_id} there are {count} events, and {sealed} were sealed"
    text += " and not archived" if archived.size else ""
    text += f": event {odd} is one of those that were added." if odd is not None else "."
    kind = Kind.ADDED if count > sealed else Kind.MISSING
    return [Finding(kind=kind, text=text, event_id=odd)]


def _damaged_tiles(start: int, size: int, tiles: StoredTiles, archived: int) -> list[Finding]:
    """Tiles of higher levels that are not made of those below, as far as these were not archived: those were
    looked at on the way."""
    level, below = 1, size // WIDTH
    while below:
        for number in range((start >> 8 * level) // WIDTH, -(-below // WIDTH)):
            ends = min((number + 1) * WIDTH, below)
            try:
                right = b"".join(
                    _above(level, each, tiles, archived) for each in range(number * WIDTH, ends)
                )
            except TileMissing:
                right = b""
            if not right or tiles(level, number)[: len(right)] != right:
                width = (ends - number * WIDTH) if right else WIDTH
                text = (
                    f"Tile {tile_path(level, number, width)} is damaged: no proof can rest on it."
                )
                return [Finding(kind=Kind.TILE, text=text)]
        level, below = level + 1, below // WIDTH
    return []


def _above(level: int, number: int, tiles: StoredTiles, archived: int) -> bytes:
    """What a tile of this level should have for the tile below. Raises TileMissing."""
    below = tiles(level - 1, number)
    if not below and level == 1 and (number + 1) * WIDTH <= archived:
        above, place = divmod(number, WIDTH)
        return tiles(1, above)[place * HASH_BYTES : (place + 1) * HASH_BYTES]
    return tile_root(below)


class _Remembering:
    """Notes now and then how far it got, so that what is interrupted goes on from there."""

    def __init__(self, remember: bool, size: int) -> None:
        self._remember = remember
        self._noted = size
        if remember:
            self._note(size)

    def at(self, size: int) -> None:
        if self._remember and size - self._noted >= REMEMBER_EVENTS:
            self._note(size)

    def _note(self, size: int) -> None:
        self._noted = size
        if not rows().filter(name=VERIFYING).update(size=size):
            succeeded(VERIFYING, size)


def _remember(found: Verification, name: str) -> None:
    if found.ok:
        for each in {VERIFYING, name}:
            succeeded(each, found.sealed_events, f"{found.checked_events} events were read")
        return
    failed(name, found.findings[0].text)
    rows().filter(name=VERIFYING).update(size=0)  # the next one reads everything again


def _count_unsealed(found: Verification) -> None:
    newer = CronEvent.objects.using(store.connection().alias).filter(id__gt=found.sealed_to)
    found.unsealed_events = newer.order_by().count()
    found.unsealed_since = newer.order_by("id").values_list("recorded_at", flat=True).first()
