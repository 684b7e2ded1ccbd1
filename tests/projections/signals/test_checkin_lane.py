"""What a monitor is told next of a cron, by tables: letters for rows that wait, the oldest first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from rqcron_projections.signals.checkins.lane import BEGIN_SECONDS_MAX, WINDOW, plan, thinned
from rqcron_projections.signals.models import CheckIn

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
FATES = {"b": "running", "s": "succeeded", "d": "declined", "f": "failed", "n": "skipped"}
KINDS = {"b": "begin", "n": "note"}


def rows_of(text: str, *, tried: str = "", age_seconds: float = 0) -> list[CheckIn]:
    """``b1 s1 f2``: the begin and the success of run 1, the failure of run 2."""
    return [
        CheckIn(
            id=number,
            kind=KINDS.get(word[0], "end"),
            fate=FATES[word[0]],
            run_id=UUID(int=int(word[1:])),
            at=START - timedelta(seconds=age_seconds),
            attempts=int(word in tried.split()),
        )
        for number, word in enumerate(text.split(), 1)
    ]


def shown(rows: list[CheckIn], text: str) -> str:
    words = text.split()
    return " ".join(words[row.id - 1] for row in rows)


@pytest.mark.parametrize(
    ("waiting", "begun", "sent", "told", "left_out"),
    [
        ("b1 s1", "", 0, "b1", ""),
        ("s1", "1", 1, "s1", ""),
        ("b1 s1 b2 s2", "", 0, "b1", ""),  # all of it fits
        ("b1", "", 4, "", "b1"),  # its end would not fit
        ("b1 s1", "", 4, "s1", "b1"),
        ("s1", "1", 5, "", ""),  # waits for room, and is not left out
        ("s1 s2 s3", "", 4, "s3", "s1 s2"),
        ("s1 f2 s3", "", 3, "f2", "s1"),
        ("f1 d2 s3 f4", "", 4, "s3", "f1 d2"),
        ("s1 s2", "1", 4, "s1", ""),  # run 1 was told to have begun
        ("n1 n2 s3", "", 4, "s3", "n1 n2"),
        ("b1 s1 b2 s2 b3 s3", "", 0, "s3", "b1 s1 b2 s2 b3"),
    ],
)
def test_what_is_told_next(waiting, begun, sent, told, left_out):
    sent_at = [START - timedelta(seconds=59 - number) for number in range(sent)]
    found = plan(rows_of(waiting), sent_at, 5, {UUID(int=int(n)) for n in begun.split()}, START)
    assert shown([found.next] if found.next else [], waiting) == told
    assert sorted(shown(found.left_out, waiting).split()) == sorted(left_out.split())
    held = not told and bool(set(waiting.split()) - set(left_out.split()))
    assert found.wait_until == (sent_at[0] + WINDOW if held else None)


@pytest.mark.parametrize(("more", "told"), [(0, "b1"), (1, "")])
def test_an_old_begin_is_left_out(more, told):
    rows = rows_of("b1", age_seconds=BEGIN_SECONDS_MAX + more)
    found = plan(rows, [], 5, (), START)
    assert shown([found.next] if found.next else [], "b1") == told
    assert shown(found.left_out, "b1") == ("" if told else "b1")


def test_an_end_is_never_too_old():
    found = plan(rows_of("s1", age_seconds=86_400 * 2), [], 5, (), START)
    assert found.next is not None


def test_a_row_that_was_tried_is_kept():
    rows = rows_of("b1 s1 s2 s3", tried="b1 s1")
    assert shown(thinned(rows, ()), "b1 s1 s2 s3") == "b1 s1 s3"
