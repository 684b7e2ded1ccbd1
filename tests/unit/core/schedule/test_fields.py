"""Each field's text stands for the values that crontab(5) gives it, or is refused."""

from __future__ import annotations

import os
import random
from datetime import datetime
from itertools import islice

from cronsim import CronSim, CronSimError
from hypothesis import given, settings
from hypothesis import strategies as st

from rqcron_events.core.schedule.fields import FIELDS, SECOND, Field, expand
from tests.examples import examples

from .field_texts import RefusedText, field_texts, what_is_said

BY_NAME = {field.name: field for field in (*FIELDS, SECOND)}
TEXTS = int(os.environ.get("RQCRON_FIELD_TEXTS", examples(8_000)))
SEED = int(os.environ.get("RQCRON_SCHEDULE_SEED", "0"))


def what_we_say(field: Field, text: str) -> set[object]:
    values = expand(field, text)
    said: set[object] = set(values.numbers)
    said |= {("nearest", day) for day in values.nearest_weekdays}
    said |= {("nth", *nth) for nth in values.nth_weekdays}
    return said | ({"last"} if values.last_day else set())


def disagreement(name: str, text: str) -> str | None:
    try:
        expected: object = what_is_said(name, text)
    except RefusedText:
        expected = "refused"
    try:
        found: object = what_we_say(BY_NAME[name], text)
    except ValueError:
        found = "refused"
    return None if found == expected else f"{name} {text!r}: we say {found}, not {expected}"


def test_generated_texts_are_read_as_the_oracle_reads_them():
    texts = list(islice(field_texts(random.Random(SEED)), TEXTS))
    wrong = [told for told in (disagreement(*text) for text in texts) if told]
    assert not wrong, f"{len(wrong)} of {len(texts)}:\n" + "\n".join(wrong[:20])


@settings(max_examples=examples(500), deadline=None)
@given(
    st.sampled_from(list(BY_NAME)),
    st.text("0123456789*,-/#?LlWwMmOoNnSsUuJjAa_+. ٣İſ", min_size=1, max_size=12),
)
def test_any_text_is_read_as_the_oracle_reads_it(name, text):
    if text[0] not in "Hh":
        assert disagreement(name, text) is None


def by_cronsim(name: str, text: str) -> set[int] | None:
    """Its numbers; None for what it refuses, and for what is no set of numbers."""
    parts = ["*"] * 6
    index = [*(field.name for field in FIELDS), "second"].index(name)
    parts[(index + 1) % 6] = text
    try:
        found = CronSim(" ".join(parts), datetime(2026, 1, 1))
    except (CronSimError, AssertionError, TypeError):
        return None
    fields = (found.minutes, found.hours, found.days, found.months, found.weekdays, found.seconds)
    numbers = set(fields[index])
    if not all(isinstance(number, int) and number >= 0 for number in numbers):
        return None
    return {number % 7 for number in numbers} if name == "day of week" else numbers


def is_one_value_with_a_step(name: str, item: str) -> bool:
    """``05-5/20``, which CronSim takes for ``5/20``."""
    ends, slash, _ = item.partition("/")
    return bool(slash) and "-" in ends and len(what_is_said(name, ends)) == 1


def test_cronsim_agrees_wherever_it_reads_as_crontab_does():
    compared = 0
    for name, text in islice(field_texts(random.Random(SEED + 1)), TEXTS // 2):
        expected = by_cronsim(name, text)
        try:
            found = expand(BY_NAME[name], text).numbers
        except ValueError:
            continue
        if expected is None or any(is_one_value_with_a_step(name, i) for i in text.split(",")):
            continue
        compared += 1
        assert found == expected, (name, text)
    assert compared > TEXTS // 2 / 4
