"""Which cron of the log each cron of the code is."""

from __future__ import annotations

import pytest

from rqcron_events.core.cron_state import CronState, Phase
from rqcron_events.core.definition import Definition
from rqcron_events.core.renames.names import match_names, renamed_at, stored_definition
from tests.unit.history import at


def definition(name: str, *names: str) -> Definition:
    return Definition(name=name, function="shop:f", expression="* * * * *", names=names)


def state(name: str, *names: str) -> CronState:
    phase = Phase(start=at("09:00"), definition=definition(name, *names), definition_version=1)
    return CronState(name, phases=[phase])


def log(*states: CronState) -> dict[str, CronState]:
    return {item.name: item for item in states}


@pytest.mark.parametrize(
    ("code", "logged", "stored"),
    [
        ({"a": ""}, log(), {"a": "a"}),
        ({"a": ""}, log(state("a")), {"a": "a"}),
        ({"b": "a"}, log(), {"b": "b"}),
        ({"b": "a"}, log(state("a")), {"b": "a"}),
        ({"b": "a"}, log(state("a", "a", "b")), {"b": "a"}),
        ({"b": ""}, log(state("a", "a", "b")), {"b": "a"}),
        ({"a": ""}, log(state("a", "a", "b")), {"a": "a"}),
        ({"c": "b"}, log(state("a", "a", "b")), {"c": "a"}),
        ({"c": "a"}, log(state("a", "a", "b")), {"c": "a"}),
        ({"b": ""}, log(state("a", "a", "b", "c")), {"b": "a"}),
        ({"b": "a"}, log(state("a"), state("b")), {"b": "b"}),
        ({"b": "a", "c": "b"}, log(state("a")), {"b": "a"}),
        # A log that has it so: what a cron is called now counts first.
        (
            {"b": "", "a": "c"},
            log(state("a", "a", "b"), state("c", "c", "a")),
            {"b": "a", "a": "c"},
        ),
    ],
)
def test_a_cron_is_found_under_what_it_was_called(code, logged, stored):
    assert match_names(code, logged).stored == stored


@pytest.mark.parametrize(
    ("code", "logged", "refused", "words"),
    [
        ({"a": "", "b": "a"}, log(state("a")), "b", "still has"),
        ({"a": "", "b": ""}, log(state("a", "a", "b")), "a", "'b' had that name before"),
        ({"b": "a", "c": "a"}, log(state("a")), "c", "is given by 'b', too"),
        ({"b": "", "c": "a"}, log(state("a", "a", "b")), "c", "names the history of 'b'"),
        ({"{b}": "", "a": ""}, log(state("a", "a", "{b}")), "a", "'{b}' had that name before"),
        (
            {"b": "", "a": "c"},
            log(state("a", "a", "b"), state("c")),
            "a",
            "'b' had that name before",
        ),
        ({"a": "c"}, log(state("a", "a", "b"), state("c")), "a", "'b' had that name before"),
    ],
)
def test_one_history_belongs_to_one_cron(code, logged, refused, words):
    found = match_names(code, logged)
    assert list(found.refused) == [refused]
    assert words in found.refused[refused]
    assert refused not in found.stored
    assert len(set(found.stored.values())) == len(found.stored)


@pytest.mark.parametrize(
    ("own", "before", "names"),
    [
        ("a", None, ()),
        ("a", definition("a"), ()),
        ("b", definition("a"), ("a", "b")),
        ("b", definition("a", "a", "b"), ("a", "b")),
        ("c", definition("a", "a", "b"), ("a", "b", "c")),
        ("a", definition("a", "a", "b"), ("b", "a")),
        ("b", definition("a", "a", "b", "c"), ("a", "c", "b")),
    ],
)
def test_the_log_keeps_every_name_and_the_present_one_last(own, before, names):
    found = stored_definition(definition(own), "a", before)
    assert (found.name, found.names, found.present_name) == ("a", names, own)
    assert Definition.from_data(found.to_data()) == found


@pytest.mark.parametrize("names", [["a"], [1, "b"], "ab"])
def test_names_that_no_writer_writes_are_refused(names):
    with pytest.raises((ValueError, TypeError), match="names of the definition"):
        Definition.from_data({"name": "a", "function": "f", "names": names})


def test_since_when_a_cron_has_its_name():
    assert renamed_at(state("a")) is None
    renamed = state("a")
    for minute, names in (("09:05", ("a", "b")), ("09:06", ("a", "b"))):
        phase = Phase(start=at(minute), definition=definition("a", *names), definition_version=2)
        renamed.phases.append(phase)
    assert renamed_at(renamed) == at("09:05")
