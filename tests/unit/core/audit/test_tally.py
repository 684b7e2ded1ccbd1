"""The slots that one decision covers are counted, and not kept."""

from __future__ import annotations

from rqcron_events.core.audit.tally import Tally
from rqcron_events.core.expected_slots import Slot
from tests.unit.history import at


def test_a_tally_knows_the_ends_the_number_and_the_first_of_another_definition():
    tally = Tally(version=1)
    for text, version in (("09:00", 1), ("10:00", 2), ("11:00", 2)):
        tally.add(Slot(at(text), version))
    assert (tally.first, tally.last, tally.count) == (at("09:00"), at("11:00"), 3)
    assert tally.other == Slot(at("10:00"), 2)
