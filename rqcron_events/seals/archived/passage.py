"""Going through the segments, line by line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from ...errors import SegmentDamaged, SegmentUnavailable
from ...models import CronSegment
from ..difference import Finding, Kind
from ..segments import lines_of, segments
from .kept_rows import KeptRows

__all__ = ["Passage"]


@dataclass(slots=True)
class Passage:
    """From the event with this number on, which is the first one or comes behind all that is archived."""

    index: int
    size: int = 0
    """How many events are archived."""
    last_id: int = 0
    """The last of them."""
    unchecked: list[str] = field(default_factory=list)
    """Segments that are out of reach, one sentence for each."""
    skipped: int = 0
    """How many events are in those."""
    damaged: list[Finding] = field(default_factory=list)
    """Segments that are not what was archived."""
    kept: KeptRows | None = None
    _segments: list[CronSegment] = field(default_factory=list)
    _lines: Iterator[bytes] | None = None

    def __post_init__(self) -> None:
        self._segments = list(segments())
        if self._segments:
            self.size, self.last_id = self._segments[-1].size, self._segments[-1].last_id
        if self.index < self.size:
            self.kept = KeptRows(self.last_id)

    def segment(self, index: int) -> CronSegment:
        """That of the event with this number."""
        return next(each for each in self._segments if index < each.size)

    def take(self, index: int, end: int) -> list[bytes] | None:
        """The next events as they were hashed; None where their segment is out of reach."""
        segment = self.segment(index)
        if index == segment.first:
            try:
                self._lines = lines_of(segment)
            except SegmentDamaged as error:
                self.damaged.append(
                    Finding(
                        kind=Kind.SEGMENT,
                        text=f"{error}",
                        event_id=segment.first_id,
                        leaf=segment.first,
                    )
                )
                self._lines = None
            except SegmentUnavailable as error:
                self.unchecked.append(f"{error}")
                self._lines = None
        if self._lines is None:
            self.skipped += segment.size - index
            if self.kept is not None:
                self.kept.give_up()
                self.kept.skip_to(segment.last_id + 1, is_known=False)
            return None
        return list(islice(self._lines, end - index))
