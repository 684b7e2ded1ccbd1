"""docs/events.md says what is true: every type, every key, every column, and examples that decode."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from rqcron_events.core.bounded import failure_data
from rqcron_events.core.codec import decode_rows, schema_version
from rqcron_events.core.definition import Definition
from rqcron_events.core.downtime import Downtime
from rqcron_events.core.events import Event, EventType, keys
from tests.processes import ROOT
from tests.unit.core.events.constructors import of_type, with_all, with_little
from tests.unit.history import History, at

PAGE = (ROOT / "docs/events.md").read_text()
COLUMNS = ("cron", "run_id", "attempt", "scheduled_for", "reason")
NESTED = ("In `error`", "In `evidence`", "In `held_up`", "In `recovered`")
UNITS = {"_seconds": "seconds", "retries_left": "tries", "count": "slots"}


@dataclass(frozen=True)
class Section:
    keys: dict[str, str]
    """Of the table: when each is present."""
    units: dict[str, str]
    columns: set[str]
    example: dict[str, Any] | None


def section(text: str) -> Section:
    rows = [
        [cell.strip() for cell in row.split("|")[1:-1]]
        for row in re.findall(r"^\| `.*$", text, re.MULTILINE)
    ]
    named = re.search(
        r"^Columns: (.*?)\.\s+Since\s+\d+\.\d+\.\d+\.$", text, re.MULTILINE | re.DOTALL
    )
    block = re.search(r"```json\n(.*?)```", text, re.DOTALL)
    return Section(
        keys={row[0].strip("`"): row[4] for row in rows},
        units={row[0].strip("`"): row[2] for row in rows},
        columns=set(re.findall(r"`(\w+)`", named[1])) & set(COLUMNS) if named else set(),
        example=json.loads(block[1]) if block else None,
    )


SECTIONS = {
    title: section(text)
    for title, text in re.findall(r"^### (.*?)\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
}


def keys_in_code() -> set[str]:
    return {value for name, value in vars(keys).items() if name.isupper()}


def event_of(example: dict[str, Any]) -> Event:
    """As the ledger reads it from the table."""
    kind = EventType(example["type"])
    run_id, slot = example.get("run_id"), example.get("scheduled_for")
    [event] = decode_rows(
        [
            (
                1,
                example["stream"],
                example["version"],
                kind.value,
                schema_version(kind),
                example.get("cron", ""),
                UUID(run_id).bytes if run_id else None,
                example.get("attempt"),
                datetime.fromisoformat(slot) if slot else None,
                example.get("reason", ""),
                example["actor"],
                datetime.fromisoformat(example["occurred_at"]),
                datetime.now(UTC),
                json.dumps(example["data"]),
            )
        ]
    )
    return event


def test_every_type_has_its_section_and_no_other_is_there():
    assert sorted(SECTIONS) == sorted([*(item.value for item in EventType), *NESTED])


@pytest.mark.parametrize("event_type", EventType)
def test_a_section_names_the_keys_that_the_constructors_write(event_type):
    constructors = of_type(event_type)
    always = set.intersection(*(set(with_little(make).data) for make in constructors))
    ever = set.union(*(set(with_all(make).data) for make in constructors))
    written = SECTIONS[event_type].keys
    assert set(written) == ever
    assert {key for key, when in written.items() if when == "always"} == always


@pytest.mark.parametrize("event_type", EventType)
def test_a_section_names_the_columns_that_the_type_uses(event_type):
    used = {
        column
        for constructor in of_type(event_type)
        for column in COLUMNS
        if getattr(with_all(constructor), column)
    }
    assert SECTIONS[event_type].columns == used


@pytest.mark.parametrize("title", SECTIONS)
def test_what_is_measured_has_a_unit(title):
    for key, unit in SECTIONS[title].units.items():
        for ending, expected in UNITS.items():
            if key.endswith(ending):
                assert unit == expected, key


@pytest.mark.parametrize("event_type", EventType)
def test_an_example_decodes_and_is_an_event_of_its_type(event_type):
    example = SECTIONS[event_type].example
    assert example is not None
    event = event_of(example)
    assert event.type is event_type
    made = with_all(of_type(event_type)[0])
    assert event.stream.partition("/")[0] == made.stream.partition("/")[0]
    written = SECTIONS[event_type].keys
    always = {key for key, when in written.items() if when == "always"}
    assert always <= set(event.data) <= set(written)
    assert {column for column in COLUMNS if getattr(event, column)} <= SECTIONS[event_type].columns
    for key, value in event.data.items():
        if f"In `{key}`" in SECTIONS:
            assert set(value) <= set(SECTIONS[f"In `{key}`"].keys)
        elif key == "definition":
            assert Definition.from_data(value).to_data() == value


def test_every_key_has_its_name_and_every_name_is_on_the_page():
    on_the_page = {key for found in SECTIONS.values() for key in found.keys}
    assert on_the_page | {keys.SPOOLED, keys.TEXTS} == keys_in_code()
    assert "**`spooled`** (string)" in PAGE
    assert "**`texts`** (object)" in PAGE


def test_an_error_has_the_keys_of_the_page():
    told = failure_data(
        ValueError, ValueError("no"), None, message_bytes_max=99, traceback_bytes_max=99
    )
    assert [*told, keys.ERROR_SHAPE] == list(SECTIONS["In `error`"].keys)


def test_what_told_of_a_lost_decision_has_the_keys_of_the_page():
    recovered = {value for name, value in vars(keys).items() if name.startswith("RECOVERED_")}
    assert recovered == set(SECTIONS["In `recovered`"].keys)


def test_what_held_a_runner_up_has_the_keys_of_the_page():
    assert list(Downtime(None, None).to_data()) == list(SECTIONS["In `held_up`"].keys)


def test_evidence_has_the_keys_of_the_page_for_each_reason():
    told: dict[str, set[str]] = {}
    for event in decided():
        if event.reason:
            told.setdefault(event.reason, set()).update(event.data[keys.EVIDENCE])
    written = SECTIONS["In `evidence`"].keys
    assert told == {
        reason: {key for key, when in written.items() if f"`{reason}`" in when}
        for reason in (
            "overlap",
            "paused",
            "all_paused",
            "disabled",
            "too_late",
            "superseded",
            "retired",
        )
    }


def decided() -> list[Event]:
    """Decisions with every reason."""
    return [event for history in _histories() for event in history.decisions()]


def _histories() -> list[History]:
    overlap = History()
    overlap.register(at("09:00"), overlap="skip")
    overlap.decide(at("09:10"))
    overlap.decide(at("09:20"))
    refused = History(refused_runs_max=1)
    refused.register(at("09:00"))
    refused.decide(at("09:10"))
    error = {"queue": "gone", "error": {"type": "QueueUnusable", "message": ""}}
    refused.run(EventType.ENQUEUE_FAILED, at("09:10"), at("09:10"), reason="refused", data=error)
    refused.decide(at("09:20"))
    paused = History()
    paused.register(at("09:00"))
    paused.pause(at("09:04"))
    paused.pause(at("09:05"))
    paused.decide(at("09:10"))
    everything = History()
    everything.register(at("09:00"))
    everything.pause_all(at("09:04"))
    everything.pause_all(at("09:05"))
    everything.decide(at("09:10"))
    disabled = History()
    disabled.register(at("09:00"), disabled="enabled=False")
    disabled.decide(at("09:10"))
    late = History()
    late.register(at("09:00"), catch_up="none")
    late.decide(at("09:15"))
    superseded = History()
    superseded.register(at("09:00"))
    superseded.decide(at("09:35"))
    retired = History()
    retired.register(at("09:00"))
    retired.retire(at("09:15"))
    retired.decide(at("09:20"))
    return [overlap, refused, paused, everything, disabled, late, superseded, retired]
