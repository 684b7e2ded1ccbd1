"""What was always read right keeps its slots, ``H`` included."""

from __future__ import annotations

from itertools import islice

from rqcron_events.core.schedule import cron_schedule
from tests.examples import examples

from .before import BLOCKS, FILE, blocks, digest


def test_no_expression_that_was_read_right_has_other_slots_than_before():
    """Which one differs says ``python -m tests.unit.core.schedule.before``."""
    expected = FILE.read_text().split()
    assert len(expected) == BLOCKS
    tried = examples(BLOCKS)
    found = [digest(cron_schedule, block) for block in islice(blocks(), tried)]
    differ = [at for at in range(tried) if found[at] != expected[at]]
    assert not differ, "other slots in these hundreds of expressions"
