"""A segment proves itself, and whatever is changed in it is refused."""

from __future__ import annotations

import gzip
import io
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rqcron_events.core.archive.row import row_of
from rqcron_events.core.archive.segment import (
    Header,
    SegmentReader,
    SegmentRefused,
    SegmentWriter,
    segment_path,
)
from rqcron_events.core.codec import Row
from rqcron_events.core.seal.checkpoint import Checkpoint
from rqcron_events.core.seal.leaf import leaf
from rqcron_events.core.seal.merkle import Frontier, leaf_hash
from rqcron_events.core.seal.note import new_signer

ORIGIN = "example.org/crons"
KEY = new_signer(ORIGIN)
AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def row(number: int, data: str = '{"a": 1}') -> Row:
    at = AT + timedelta(minutes=number)
    return (10 + 2 * number, "cron/x", number + 1, "slot_fired", 1, "x", bytes(15) + b"\1", None, at,
            "", "runner/r", at, at, data)  # fmt: skip


def written(first: int = 5, count: int = 7, key: Any = KEY) -> bytes:
    before, body, out = Frontier(), io.BytesIO(), io.BytesIO()
    for number in range(first):
        before.push(leaf_hash(leaf(row(number))))
    writer = SegmentWriter(body, before)
    writer.add([row(number) for number in range(first, first + 3)])
    writer.add([])
    writer.add([row(number) for number in range(first + 3, first + count)])
    point = Checkpoint(ORIGIN, writer.tree.size, writer.tree.root())
    header = writer.finish(out, ORIGIN, key.signed(point.text))
    assert (header.first, header.size, header.events) == (first, first + count, count)
    return out.getvalue()


def reader(content: bytes) -> SegmentReader:
    return SegmentReader(io.BytesIO(content), [KEY.verifier], ORIGIN)


@pytest.mark.parametrize("first", [0, 1, 5, 8])
def test_it_is_checked_with_the_public_key_alone(first: int):
    header = reader(written(first)).check()
    assert header.occurred == (
        (AT + timedelta(minutes=first)).isoformat(),
        (AT + timedelta(minutes=first + 6)).isoformat(),
    )
    assert (header.first_id, header.last_id) == (10 + 2 * first, 22 + 2 * first)
    assert list(map(row_of, reader(written(first)))) == [row(n) for n in range(first, first + 7)]


def test_the_same_events_are_the_same_bytes_which_anybody_can_unpack():
    assert written() == written()
    lines = gzip.decompress(written()).splitlines()
    assert json.loads(lines[0])["format"] == "rqcron-segment/1"
    assert [json.loads(line)["version"] for line in lines[1:]] == [6, 7, 8, 9, 10, 11, 12]
    assert segment_path(5, 12) == "segments/000000000005-000000000012.jsonl.gz"


def change(content: bytes, how: Callable[[list[bytes]], None]) -> bytes:
    lines = gzip.decompress(content).splitlines(keepends=True)
    how(lines)
    return gzip.compress(b"".join(lines))


def in_header(**new: Any) -> Callable[[list[bytes]], None]:
    def how(lines: list[bytes]) -> None:
        lines[0] = json.dumps(json.loads(lines[0]) | new).encode() + b"\n"

    return how


def a_word(lines: list[bytes]) -> None:
    lines[3] = lines[3].replace(b"runner/r", b"mallory")


def swap(lines: list[bytes]) -> None:
    lines[3], lines[4] = lines[4], lines[3]


CHANGES: dict[str, tuple[Callable[[list[bytes]], None], str]] = {
    "a word": (a_word, "not those that were sealed"),
    "two swapped": (swap, "not those that were sealed"),
    "one missing": (lambda lines: lines.pop(3) and None, "a line has no end"),
    "one more": (lambda lines: lines.append(lines[-1]), "it has more than the 7 events"),
    "no header": (lambda lines: lines.pop(0) and None, "no header"),
    "no JSON": (lambda lines: lines.__setitem__(0, b"[]\n"), "no header"),
    "no line ends": (lambda lines: lines.__setitem__(7, lines[7][:-1]), "a line has no end"),
    "another format": (in_header(format="rqcron-segment/2"), "this release reads"),
    "another size": (in_header(size=13), "is about 12 events, not 13"),
    "no size": (in_header(size=5), "numbers that cannot be"),
    "a size that is none": (in_header(size="12"), "numbers that cannot be"),
    "another beginning": (in_header(first_id=1), "does not begin with the event"),
    "another end": (in_header(last_id=99), "does not end with the event"),
    "another frontier": (in_header(frontier=["AAAA"]), "its frontier is none"),
    "a frontier of others": (
        in_header(frontier=["A" * 43 + "="] * 2),
        "not those that were sealed",
    ),
    "no frontier": (in_header(frontier=[1, 2]), "its frontier is none"),
    "another log": (in_header(origin="b"), "is about 12 events"),
    "no checkpoint": (in_header(checkpoint=None), "its checkpoint is refused"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_was_changed_is_refused(what: str):
    how, says = CHANGES[what]
    with pytest.raises(SegmentRefused, match=says):
        reader(change(written(), how)).check()


def test_a_signature_of_somebody_else_is_refused():
    with pytest.raises(SegmentRefused, match="none of the known keys signed it"):
        reader(written(key=new_signer(ORIGIN)))


def test_a_file_that_is_cut_off_or_no_gzip_is_refused():
    whole = written()
    for end in range(len(whole)):
        with pytest.raises(SegmentRefused):
            reader(whole[:end]).check()
    for content in (b"", b"x", whole + b"x", os.urandom(200)):
        with pytest.raises(SegmentRefused):
            reader(content).check()


def test_what_the_storage_raises_goes_through():
    class Gone(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise TimeoutError("no answer")

    with pytest.raises(TimeoutError):
        SegmentReader(Gone(), [KEY.verifier], ORIGIN)


def test_an_empty_segment_has_no_header():
    with pytest.raises(SegmentRefused, match="numbers"):
        Header.of(in_header_of(size=5))


def in_header_of(**new: Any) -> bytes:
    lines = gzip.decompress(written()).splitlines(keepends=True)
    in_header(**new)(lines)
    return lines[0]
