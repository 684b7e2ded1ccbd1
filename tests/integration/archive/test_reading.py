"""Going on from a place that lies in the archive, and what a segment is believed."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.db import connection

from rqcron_events.archive.reading import archived_events_of_run, events_after, whole_log
from rqcron_events.errors import PositionArchived, SegmentUnavailable
from rqcron_events.ledger import store
from rqcron_events.ledger.cron_states import States
from rqcron_events.ledger.follow import follow
from rqcron_events.models import CronEvent
from rqcron_events.seals.segments import rows_between
from tests.archiving import archive, forget_files, unreachable
from tests.sealing import fire, gap, history, ids, run_of


def columns() -> list[tuple]:
    rows = CronEvent.objects.order_by("id")
    return list(
        rows.values_list("id", "stream", "version", "type", "run_id", "scheduled_for", "data")
    )


def test_a_position_behind_which_events_are_archived_is_refused_by_every_reader():
    everything = history("alpha", runs=5)
    archive(13)
    left = ids()
    assert len(left) < len(everything)
    with pytest.raises(PositionArchived, match=r"segments/0+-0+13\.jsonl\.gz"):
        store.tail(0)
    with pytest.raises(PositionArchived):
        list(follow(everything[2], idle_seconds_max=0))
    page = store.tail(everything[12])
    assert [event.id for event in page.events] == everything[13:]
    assert [event.id for event in follow(everything[12], idle_seconds_max=0)] == everything[13:]


def test_a_gap_that_nobody_archived_is_read_over():
    history("alpha", runs=3)
    archive(5)
    place = ids()[-1]
    gap()
    fire("alpha", 4)
    assert len(store.tail(place).events) == 4


def test_reading_on_from_segments_gives_what_the_log_had():
    everything = history("alpha", "beta", runs=4)
    before = {event.id: event for event in store.tail(everything[0] - 1).events}
    archive(10)
    archive(10)
    found = list(events_after(everything[0] - 1))
    assert [event.id for event in found] == everything
    assert {event.id: event for event in found} == before
    assert [event.id for event in events_after(everything[14])] == everything[15:]
    assert [row[0] for row in rows_between(everything[3], everything[11])] == everything[4:12]


def test_the_whole_log_has_each_event_once_and_as_it_was():
    everything = history("alpha", "beta", runs=4)
    before = columns()
    archive(20)
    assert len(columns()) < len(before)
    with whole_log(rows_between(0, everything[-1])):
        assert columns() == before
        db = store.connection()
        again = store.backend_of(db).read(db, 0, None, 1_000)
        assert [row[0] for row in again] == everything
    assert len(columns()) < len(before)
    fire("gamma", 1)


def test_who_remembers_a_place_in_the_archive_folds_anew_what_is_left():
    history("alpha", runs=2)
    states = States.load()
    fire("alpha", 3)
    history("beta", runs=3)
    archive(ids().__len__() - 2)
    fresh = States.load()
    states.follow()
    assert states.crons.keys() == fresh.crons.keys()
    for name, state in fresh.crons.items():
        assert states.crons[name].to_data() == state.to_data()
    assert not states.log_went_back()


def test_events_that_were_archived_are_not_missing():
    history("alpha", runs=2)
    states = States.load()
    history("beta", runs=1)
    archive(9)
    assert not states.log_went_back()


@pytest.mark.parametrize("how", ["gone", "cut", "changed", "other"])
def test_a_segment_that_is_not_what_was_archived_is_not_believed(directory: Path, how: str):
    history("alpha", runs=5)
    segment = archive(13)
    file = directory / segment.path
    content = file.read_bytes()
    if how == "gone":
        unreachable(directory)
    elif how == "cut":
        file.write_bytes(content[:-20])
    elif how == "changed":
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    else:
        file.write_bytes(b"")
    forget_files()
    with pytest.raises(SegmentUnavailable, match=segment.path):
        list(rows_between(0, 10**9))


def test_a_file_that_was_sealed_by_nobody_is_not_believed_though_its_hash_is_right(
    directory: Path, settings
):
    from rqcron_events.core.seal.note import new_signer
    from tests.sealing import NAME

    history("alpha", runs=5)
    archive(13)
    settings.RQCRON_SEAL_KEY = new_signer(NAME).secret_text()
    forget_files()
    with pytest.raises(SegmentUnavailable, match="checkpoint"):
        list(rows_between(0, 10**9))


def test_a_run_is_found_in_whatever_segment_it_is():
    history("alpha", runs=6)
    archive(9)
    archive(8)
    for number in (1, 2, 3):
        events = archived_events_of_run(run_of("alpha", number))
        assert [event.type.value for event in events] == [
            "slot_fired", "run_enqueued", "run_started", "run_failed",
        ]  # fmt: skip
    assert archived_events_of_run(run_of("beta", 1)) == []


def test_nothing_of_a_question_about_the_past_is_left_in_the_session():
    history("alpha", runs=5)
    archive(13)
    left = ids()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), whole_log(rows_between(0, 10**9)):
            raise ZeroDivisionError
        if connection.vendor == "postgresql":
            assert connection.introspection.table_names().count("rqcron_event") == 1
        assert ids() == left
