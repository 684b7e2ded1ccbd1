"""A definition survives the log, and a run's id follows from its slot alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rqcron_events.core.definition import CatchUp, Definition, Overlap, Retries, run_id_for_slot
from rqcron_events.core.schedule import EverySchedule

TEXT = st.text(max_size=20)
SECONDS = st.integers(0, 100_000)
DEFINITIONS = st.builds(
    Definition,
    name=TEXT,
    function=TEXT,
    expression=st.none() | TEXT,
    timezone=TEXT,
    every_seconds=st.none() | SECONDS,
    offset_seconds=SECONDS,
    queue=TEXT,
    description=TEXT,
    overlap=st.sampled_from(Overlap),
    catch_up=st.sampled_from(CatchUp),
    max_lateness_seconds=st.none() | SECONDS | st.floats(0, 1e6),
    jitter_seconds=SECONDS | st.floats(0, 1e6),
    idempotent=st.booleans(),
    store_result=st.booleans(),
    retries=st.none()
    | st.builds(
        Retries,
        max=st.integers(1, 9),
        intervals=st.lists(SECONDS, min_size=1).map(tuple),
        enqueue_at_front=st.booleans(),
    ),
    options=st.dictionaries(st.sampled_from(("timeout", "ttl", "meta")), SECONDS),
)


@given(DEFINITIONS)
def test_a_definition_comes_back_from_json_as_it_was(definition):
    data = json.loads(json.dumps(definition.to_data()))
    assert Definition.from_data(data) == definition


@given(DEFINITIONS, DEFINITIONS)
def test_changes_name_exactly_the_fields_that_differ(old, new):
    changes = old.changes_to(new)
    json.dumps(changes)
    assert bool(changes) == (old != new)
    before, after = old.to_data(), new.to_data()
    for field, (was, becomes) in changes.items():
        assert was == before.get(field)
        assert becomes == after.get(field)


def test_only_what_differs_from_the_defaults_is_stored():
    data = Definition(name="a", function="m:a", expression="* * * * *").to_data()
    assert data == {"name": "a", "function": "m:a", "expression": "* * * * *"}


def test_fields_of_a_newer_release_are_ignored():
    data = {"name": "a", "function": "m:a", "expression": "* * * * *", "from_the_future": 1}
    assert Definition.from_data(data) == Definition(
        name="a", function="m:a", expression="* * * * *"
    )


def test_the_run_of_a_slot_has_the_same_id_wherever_it_is_computed():
    slot = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    # A literal: ids that change with a release would start a slot's job twice during a deploy.
    assert run_id_for_slot("alpha", slot) == UUID("e764b46c-ee3e-5676-8713-3c874f784561")
    elsewhere = slot.astimezone(timezone(timedelta(hours=5, minutes=45)))
    assert run_id_for_slot("alpha", elsewhere) == run_id_for_slot("alpha", slot)


def test_runs_of_other_slots_and_other_crons_have_other_ids():
    slot = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    ids = {
        run_id_for_slot(name, slot + timedelta(seconds=second))
        for name in ("a", "b", "a\0", "")
        for second in range(100)
    }
    assert len(ids) == 400


def test_a_period_has_a_period_schedule():
    definition = Definition(name="a", function="m:a", every_seconds=900, offset_seconds=60)
    assert definition.schedule == EverySchedule(timedelta(minutes=15), timedelta(minutes=1))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1, "every 1s"),
        (90, "every 90s"),
        (120, "every 2m"),
        (7200, "every 2h"),
        (86400, "every 1d"),
    ],
)
def test_periods_are_written_in_the_largest_whole_unit(seconds, text):
    assert Definition(name="a", function="m:a", every_seconds=seconds).schedule_text == text
