"""What a rewind leaves of the decisions before it."""

from __future__ import annotations

from rqcron_events.core.audit.rewinds import Rewinds
from rqcron_events.core.audit.tally import Decided
from rqcron_events.core.cron_state import Phase
from rqcron_events.core.events import EventType
from rqcron_events.core.expected_slots import promises
from rqcron_events.core.interventions.rewind import Kept, Rewind
from tests.unit.history import at, definition

STRETCHES = promises(
    [Phase(start=at("08:00"), definition=definition(schedule="0 * * * *"), definition_version=1)]
)
REWIND = Rewind(5, at("10:30"), (Kept(at("12:00"), at("12:00")),))


def missed(first: str, last: str, slots: int, version: int = 3) -> Decided:
    return Decided(EventType.SLOT_MISSED, at(first), at(last), slots, 1, version)


def fired(slot: str, version: int = 4) -> Decided:
    return Decided(EventType.SLOT_FIRED, at(slot), at(slot), 1, 1, version)


def test_a_decision_counts_up_to_where_the_rewind_begins():
    rewinds = Rewinds([REWIND], STRETCHES)
    whole = missed("09:00", "10:00", 2)
    assert rewinds.still_counts(whole) == whole
    assert rewinds.still_counts(missed("09:00", "11:00", 3)) == whole
    assert rewinds.still_counts(missed("11:00", "11:00", 1)) is None
    after = missed("11:00", "11:00", 1, version=6)
    assert rewinds.still_counts(after) == after


def test_a_slot_that_fired_ahead_counts_when_it_comes():
    rewinds = Rewinds([REWIND], STRETCHES)
    assert not rewinds.fired_ahead(at("12:00")), "the rewind says so, and no decision"
    assert rewinds.still_counts(fired("12:00")) is None
    assert rewinds.still_counts(fired("13:00")) is None
    assert rewinds.fired_ahead(at("12:00"))
    assert not rewinds.fired_ahead(at("13:00")), "the rewind does not know it"
