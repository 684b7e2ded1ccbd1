"""The steps of a run on one time axis."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rqcron_projections.pages.story.chain import Part, chain

from rqcron_events.core.explain.run import Step

NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NINE + timedelta(seconds=seconds)


def parts(*steps: tuple[str, float], now: float = 100) -> list[Part]:
    return chain([Step(name, at(seconds), None) for name, seconds in steps], at(now))


def spans(found: list[Part]) -> list[tuple[str, str, float | None, str]]:
    return [(part.name, part.words, part.seconds, part.kind) for part in found]


def test_a_run_with_a_retry():
    found = parts(
        ("slot", 0), ("decided", 1), ("enqueued", 2), ("started", 10), ("attempt_failed", 40),
        ("started", 50), ("succeeded", 100),
    )  # fmt: skip
    assert spans(found) == [
        ("slot", "was due", 1, "wait"),
        ("decided", "handed to RQ", 1, "wait"),
        ("enqueued", "in the queue", 8, "queue"),
        ("started", "running", 30, "failed"),
        ("attempt failed", "waiting for the next attempt", 10, "queue"),
        ("started", "running", 50, "running"),
        ("succeeded", "", None, "end"),
    ]
    assert [(part.left_percent, part.width_percent) for part in found][3:6] == [
        (10, 30),
        (40, 10),
        (50, 50),
    ]


def test_a_worker_that_was_faster_than_the_note_that_the_job_is_in_the_queue():
    found = parts(("slot", 0), ("decided", 1), ("started", 2), ("enqueued", 3), ("succeeded", 9))
    assert spans(found)[2:] == [
        ("started", "running", 7, "running"),
        ("enqueued", "", None, "end"),
        ("succeeded", "", None, "end"),
    ]


def test_what_is_not_over_goes_on_until_now():
    waits = parts(("slot", 0), ("decided", 1), ("enqueued", 2), now=20)
    assert spans(waits)[-1] == ("enqueued", "in the queue", 18, "queue")
    assert [part.is_open for part in waits] == [False, False, True]
    assert parts(("slot", 0), ("enqueued", 50), now=20)[-1].seconds == 0, "a clock that is ahead"


def test_every_bar_is_seen_and_none_leaves_the_axis():
    found = parts(("slot", 0), ("decided", 0.001), ("enqueued", 9_000), ("lost", 9_000))
    for part in found:
        assert part.width_percent >= 0.7
        assert part.left_percent + 0.7 <= 100
    assert parts() == []
    assert len(parts(("slot", 0), ("decided", 0), now=0)) == 2, "no time at all has passed"
