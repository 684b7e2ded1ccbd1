"""What became of each slot, in the strips of the overview and on the timeline of a cron."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from rqcron_projections.models import CronJob
from rqcron_projections.pages.cron.history import history_of
from rqcron_projections.pages.drawing.marks import Fate
from rqcron_projections.pages.slots import between
from rqcron_projections.pages.slots.between import slots_between
from rqcron_projections.pages.slots.recent import recent_entries

from rqcron_events.core.events import EventType
from rqcron_events.models import CronEvent
from tests.archiving import archive, forget_files, use_storage
from tests.projections.pages.past import HOUR, MINUTE, START, Past

pytestmark = pytest.mark.django_db


def at(hour: float) -> datetime:
    return START + HOUR * hour


def strip(name: str, now: datetime) -> str:
    """Letters, with the count of those that are more than one slot."""
    rows = list(CronJob.objects.filter(name=name))
    entries = recent_entries(rows, now)[name]
    return " ".join(f"{e.fate.letter}{e.count if e.count > 1 else ''}" for e in entries)


def timeline(name: str, since: datetime, until: datetime, now: datetime) -> list[tuple]:
    job = CronJob.objects.get(name=name)
    stretches = history_of(name).stretches
    found = slots_between(name, stretches, since, until, now=now, watermark=job.last_slot)
    return [(e.first, e.last, e.count, e.fate) for e in found.entries]


def write_each_fate(past: Past) -> None:
    past.define("digest")
    past.fire("digest", at(1))
    past.fire("digest", at(2), late=30)
    past.pass_over("digest", EventType.SLOT_SKIPPED, "paused", at(3), at(5), 3)
    past.pass_over("digest", EventType.SLOT_MISSED, "too_late", at(6))
    past.fire("digest", at(7), ends=EventType.RUN_FAILED)
    past.fire("digest", at(8), ends=EventType.RUN_LOST)
    # Nobody decided 9:00 and 10:00.
    past.fire("digest", at(11), ends=None)
    past.fire("digest", at(12), started=False)
    past.write()


def test_the_strip_has_a_mark_for_each_fate(past):
    write_each_fate(past)
    assert strip("digest", at(14) + MINUTE) == "O L S3 M F F U2 R P P2"


def test_a_strip_is_bounded_and_has_the_newest_slots(past):
    past.define("digest")
    past.fire_between("digest", START, at(30))
    past.pass_over("digest", EventType.SLOT_SKIPPED, "overlap", at(31))
    past.write()
    assert strip("digest", at(31)) == " ".join("O" * 9) + " S"


def test_a_slot_that_is_to_come_is_not_in_the_strip(past):
    past.define("digest")
    past.fire("digest", at(1))
    past.write()
    assert strip("digest", at(2) - MINUTE) == "O"


def test_a_retired_cron_has_no_pending_slot(past):
    past.define("digest")
    past.fire("digest", at(1))
    past.own("digest", EventType.CRON_RETIRED, at(2), data={"effective_from": at(2).isoformat()})
    past.write()
    assert strip("digest", at(9)) == "O"


def test_the_timeline_has_the_same_and_what_is_to_come(past):
    write_each_fate(past)
    assert timeline("digest", START, at(16), at(14) + MINUTE) == [
        (at(1), at(1), 1, Fate.ON_TIME),
        (at(2), at(2), 1, Fate.LATE),
        (at(3), at(5), 3, Fate.SKIPPED),
        (at(6), at(6), 1, Fate.MISSED),
        (at(7), at(7), 1, Fate.FAILED),
        (at(8), at(8), 1, Fate.FAILED),
        (at(9), at(10), 2, Fate.UNACCOUNTED),
        (at(11), at(11), 1, Fate.RUNNING),
        (at(12), at(12), 1, Fate.PENDING),
        (at(13), at(14), 2, Fate.PENDING),
        (at(15), at(15), 1, Fate.PENDING),
    ]


def test_each_slot_is_judged_by_the_definition_in_force_at_it(past):
    """Of six hours each at first, then each hour: the hours of before are no slots, nor unaccounted."""
    past.define("digest", expression="0 */6 * * *")
    past.fire("digest", at(6))
    past.define("digest", at(12) + MINUTE, expression="0 * * * *")
    past.fire_between("digest", at(13), at(15))
    past.write()
    assert timeline("digest", START, at(16), at(15) + MINUTE) == [
        (at(6), at(6), 1, Fate.ON_TIME),
        (at(12), at(13), 2, Fate.UNACCOUNTED),
        (at(14), at(14), 1, Fate.ON_TIME),
        (at(15), at(15), 1, Fate.ON_TIME),
    ]


def test_a_stretch_that_reaches_into_the_range_is_there(past):
    past.define("digest")
    past.pass_over("digest", EventType.SLOT_SKIPPED, "paused", at(1), at(9), 9)
    past.write()
    assert timeline("digest", at(3), at(6), at(9)) == [(at(1), at(9), 9, Fate.SKIPPED)]


def test_of_two_decisions_about_one_slot_the_later_counts(past):
    """After a rewind a slot is decided again."""
    past.define("digest")
    past.pass_over("digest", EventType.SLOT_MISSED, "too_late", at(1))
    past.fire("digest", at(1))
    past.write()
    assert strip("digest", at(1)) == "O"


def test_where_there_are_too_many_slots_none_is_read(past, monkeypatch):
    monkeypatch.setattr(between, "SLOTS_MAX", 20)
    past.define("digest")
    past.fire_between("digest", START, at(30))
    past.write()
    history = history_of("digest")
    found = slots_between("digest", history.stretches, START, at(31), now=at(31), watermark=at(30))
    assert (found.entries, found.is_too_many) == ([], True)


def test_an_event_that_cannot_be_read_shows_by_its_columns(past, rows_of_before):
    past.define("digest")
    past.fire("digest", at(1))
    past.write()
    CronEvent(
        stream="cron/digest", version=3, type="slot_missed", schema_version=99, cron="digest",
        scheduled_for=at(2), reason="by_a_newer_release", occurred_at=at(2), data={"first": 1},
    ).save()  # fmt: skip
    assert strip("digest", at(2)) == "O M"


def test_what_the_archive_took_is_archived_and_only_later_holes_are_unaccounted(
    past, settings, tmp_path
):
    """The decisions of the run that succeeded last and of the newest slot that is archived stay in the log."""
    use_storage(settings, tmp_path)
    forget_files()
    past.define("digest")
    past.fire("digest", at(1))
    past.fire_between("digest", at(1) + MINUTE, at(5), ends=EventType.RUN_FAILED)
    past.write()
    events = CronEvent.objects.count()
    for hour in (6, 8):  # nobody decided 7:00
        past.fire("digest", at(hour), ends=EventType.RUN_FAILED)
    past.write()
    assert strip("digest", at(8)) == "O F F F F F U F"
    archive(events)
    assert strip("digest", at(8)) == "O A3 F F U F"
    assert timeline("digest", START, at(9), at(8)) == [
        (at(1), at(1), 1, Fate.ON_TIME),
        *((at(hour), at(hour), 1, Fate.ARCHIVED) for hour in (2, 3, 4)),
        (at(5), at(5), 1, Fate.FAILED),
        (at(6), at(6), 1, Fate.FAILED),
        (at(7), at(7), 1, Fate.UNACCOUNTED),
        (at(8), at(8), 1, Fate.FAILED),
    ]


def test_a_hole_on_both_sides_of_the_end_of_the_archive_is_two_marks(past, settings, tmp_path):
    use_storage(settings, tmp_path)
    forget_files()
    past.define("digest")
    past.fire("digest", at(1))
    past.define("other")
    past.fire("other", at(3))
    past.write()
    events = CronEvent.objects.count()
    past.fire("digest", at(5), ends=EventType.RUN_FAILED)  # what became of 2:00 to 4:00?
    past.write()
    archive(events)
    assert strip("digest", at(5)) == "O A2 U F"
    found = [item[3] for item in timeline("digest", at(2), at(5), at(5))]
    assert found == [Fate.ARCHIVED, Fate.ARCHIVED, Fate.UNACCOUNTED]


@pytest.mark.parametrize("count", [1, 30])
def test_strips_take_the_same_queries_for_one_cron_and_for_many(
    past, count, django_assert_num_queries
):
    for number in range(count):
        past.define(f"cron_{number}")
        past.fire_between(f"cron_{number}", START, at(2), ends=EventType.RUN_FAILED)
    past.write()
    rows = list(CronJob.objects.all())
    with django_assert_num_queries(4):
        found = recent_entries(rows, at(2) + timedelta(minutes=5))
    assert all(found.values())
