"""What an audit finds in a cron's events, and that it finds nothing in those that decide() made."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from unittest.mock import patch
from uuid import UUID

import pytest
from hypothesis import given, settings

from rqcron_events.core.audit import auditor as auditor_module
from rqcron_events.core.audit.auditor import CronAuditor, Decided, RunFacts
from rqcron_events.core.audit.findings import CronAudit
from rqcron_events.core.cron_state import CronState
from rqcron_events.core.definition import Definition, Retries, run_id_for_slot
from rqcron_events.core.events import DECISIONS, DEFINITION_TYPES, Event
from rqcron_events.core.expected_slots import promised, promises
from tests.examples import examples
from tests.unit.core.test_decide_properties import DEFINITIONS, LIMITS, STEPS, play
from tests.unit.history import NAME, History, at, clock_text, definition, minutes

RUN = UUID(int=7)
HOUR = timedelta(hours=1)


def audited(events: Iterable[Event], now: datetime, **window: datetime) -> CronAudit:
    state = CronState(NAME)
    for event in events:
        if event.type in DEFINITION_TYPES:
            state.apply(event)
    auditor = CronAuditor(NAME, promises(state.phases), now=now, **window)
    for event in events:
        if event.type in DECISIONS:
            auditor.decided(decided(event))
    auditor.end()
    return auditor.result()


def decided(event: Event) -> Decided:
    assert event.scheduled_for is not None
    return Decided(
        type=event.type,
        first=event.parsed_time("first") or event.scheduled_for,
        last=event.scheduled_for,
        slots=event.data.get("count", 1),
        definition_version=event.data["definition_version"],
        version=event.version,
    )


def told(found: CronAudit) -> str:
    """``4 = 2 fired 1 skipped 1 missed; unaccounted 09:10; pending 1; wrong_count``."""
    totals = found.totals
    parts = [
        f"{totals.expected} = {totals.fired} fired {totals.skipped} skipped {totals.missed} missed"
    ]
    if found.unaccounted:
        parts.append(f"unaccounted {' '.join(map(clock_text, found.unaccounted))}")
    if totals.pending:
        parts.append(f"pending {totals.pending}")
    return "; ".join([*parts, *(finding.kind.value for finding in found.findings)])


def a_morning() -> list[Event]:
    """Fired 09:10, paused 09:20 to 09:40, fired 09:50; an edit; 10:07 (version 2) fired, 10:37 too."""
    history = History()
    history.register(at("09:00"), schedule="*/10 * * * *")
    history.decide(at("09:10"))
    history.pause(at("09:15"))
    history.decide(at("09:40"))
    history.resume(at("09:45"))
    history.decide(at("09:50"))
    history.register(at("09:55"), schedule="7,37 * * * *")
    history.decide(at("10:07"))
    history.decide(at("10:37"))
    return history.events


def without(slot: str) -> Callable[[list[Event]], list[Event]]:
    return lambda events: [event for event in events if event.scheduled_for != at(slot)]


def changed(slot: str, **values) -> Callable[[list[Event]], list[Event]]:
    """The decision that ends at the slot, with other columns or data."""

    def change(event: Event) -> Event:
        if event.scheduled_for != at(slot):
            return event
        columns = {key: value for key, value in values.items() if key == "scheduled_for"}
        data = {key: value for key, value in values.items() if key not in columns}
        return replace(event, **columns, data={**event.data, **data})

    return lambda events: [change(event) for event in events]


def again(slot: str, **values) -> Callable[[list[Event]], list[Event]]:
    """The decision once more at the end of the stream."""
    change = changed(slot, **values)

    def add(events: list[Event]) -> list[Event]:
        [event] = [event for event in events if event.scheduled_for == at(slot)]
        return [*events, replace(change([event])[0], version=len(events) + 1)]

    return add


def moved_to_the_end(slot: str) -> Callable[[list[Event]], list[Event]]:
    return lambda events: sorted(events, key=lambda event: event.scheduled_for == at(slot))


RIGHT = "7 = 4 fired 3 skipped 0 missed"
CASES = {
    "nothing is wrong": (lambda events: events, RIGHT),
    "a fired slot is taken out": (
        without("09:50"),
        "7 = 3 fired 3 skipped 0 missed; unaccounted 09:50",
    ),
    "a whole stretch is taken out": (
        without("09:40"),
        "7 = 4 fired 0 skipped 0 missed; unaccounted 09:20 09:30 09:40",
    ),
    "the newest decision is taken out": (
        without("10:37"),
        "6 = 3 fired 3 skipped 0 missed; pending 1",
    ),
    "another definition's version": (changed("10:07", definition_version=1), f"{RIGHT}; WD"),
    "the old definition's slot after the edit": (
        changed("10:07", scheduled_for=at("10:10"), definition_version=1),
        "7 = 3 fired 3 skipped 0 missed; unaccounted 10:07; WD",
    ),
    "an instant that is no slot": (
        changed("10:07", scheduled_for=at("10:08")),
        "7 = 3 fired 3 skipped 0 missed; unaccounted 10:07; not_a_slot",
    ),
    "a stretch with too high a count": (changed("09:40", count=4), f"{RIGHT}; wrong_count"),
    "a stretch that begins at no slot": (
        changed("09:40", first=at("09:21").isoformat()),
        "7 = 4 fired 2 skipped 0 missed; unaccounted 09:20; not_a_slot",
    ),
    "a stretch that ends before it begins": (
        changed("09:40", first=at("09:45").isoformat()),
        "7 = 4 fired 0 skipped 0 missed; unaccounted 09:20 09:30 09:40; wrong_count",
    ),
    "a slot decided twice": (again("09:10"), f"{RIGHT}; decided_twice"),
    "the newest slot decided twice": (again("10:37"), f"{RIGHT}; decided_twice"),
    "a stretch over slots that are decided": (
        again("10:37", first=at("10:07").isoformat(), count=2),
        f"{RIGHT}; decided_twice",
    ),
    "a decision behind later ones": (moved_to_the_end("09:10"), f"{RIGHT}; out_of_order"),
    "a slot of another year": (
        again("10:37", scheduled_for=at("10:37") + timedelta(days=365)),
        f"{RIGHT}; not_due",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_found(case):
    tamper, expected = CASES[case]
    found = audited(tamper(a_morning()), at("11:00"))
    assert told(found) == expected.replace("WD", "wrong_definition")
    assert found.ok == (expected == RIGHT or "pending" in expected)


def test_a_finding_names_the_event_the_slot_and_both_definitions():
    [finding] = audited(changed("10:07", definition_version=1)(a_morning()), at("11:00")).findings
    assert finding.text == (
        "event 8 of cron/alpha (slot_fired) decides 2026-03-02 10:07:00 UTC under definition "
        "version 1, and version 2 was in force"
    )
    assert (finding.version, finding.slot) == (8, at("10:07"))


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        ("09:10", "10:37", "6 = 3 fired 3 skipped 0 missed"),
        ("09:11", "10:38", "6 = 3 fired 3 skipped 0 missed"),
        ("09:30", "09:50", "2 = 0 fired 2 skipped 0 missed"),
        ("10:38", "12:00", "0 = 0 fired 0 skipped 0 missed; pending 1"),
        ("08:00", "09:10", "0 = 0 fired 0 skipped 0 missed"),
    ],
)
def test_only_the_slots_of_the_window_count(since, until, expected):
    found = audited(a_morning(), at("11:10"), since=at(since), until=at(until))
    assert told(found) == expected


def test_a_gap_at_the_end_of_the_window_shows_by_the_decision_after_it():
    found = audited(without("09:50")(a_morning()), at("11:00"), until=at("10:00"))
    assert told(found) == "5 = 1 fired 3 skipped 0 missed; unaccounted 09:50"


def test_slots_after_retirement_are_not_promised_and_those_before_are():
    history = History()
    history.register(at("09:00"))
    history.retire(at("09:25"))
    assert told(audited(history.events, at("10:00"))) == (
        "0 = 0 fired 0 skipped 0 missed; pending 2"
    )
    history.decide(at("10:00"))
    assert told(audited(history.events, at("10:00"))) == "2 = 0 fired 0 skipped 2 missed"
    fired_after = replace(
        history.events[-1], scheduled_for=at("09:30"), data={"definition_version": 1}
    )
    found = audited([*history.events, fired_after], at("10:00"))
    assert [finding.kind for finding in found.findings] == ["not_a_slot"]
    assert "no definition was in force" in found.findings[0].text


def test_what_is_listed_is_bounded_and_the_rest_is_counted(monkeypatch):
    monkeypatch.setattr(auditor_module, "SLOTS_KEPT_MAX", 2)
    monkeypatch.setattr(auditor_module, "FINDINGS_KEPT_MAX", 1)
    events = changed("10:07", scheduled_for=at("10:08"))(a_morning())
    events = changed("10:37", scheduled_for=at("10:38"))(without("09:40")(events))
    found = audited(events, at("11:00"))
    assert [clock_text(slot) for slot in found.unaccounted] == ["09:20", "09:30"]
    data = found.to_data()
    assert (found.totals.unaccounted, data["unaccounted_more"]) == (5, 3)
    assert (found.totals.findings, data["findings_more"]) == (2, 1)


def test_a_pause_does_not_split_a_promise():
    history = History()
    history.register(at("09:00"))
    history.pause(at("09:05"))
    history.resume(at("09:06"))
    assert len(promises(history.state.phases)) == 1


def test_promised_slots_change_with_the_definition():
    state = CronState(NAME)
    for event in a_morning():
        state.apply(event) if event.type in DEFINITION_TYPES else None
    slots = promised(promises(state.phases), at("09:40"), at("10:37"))
    assert [(clock_text(slot), version) for slot, version in slots] == [
        ("09:50", 1),
        ("10:07", 2),
        ("10:37", 2),
    ]


NOON = at("12:00")
TIMEOUT = definition(options={"timeout": 60})
RETRIES = definition(retries=Retries(max=1, intervals=(7200,)), options={"timeout": 60})
FOR_EVER = definition(options={"timeout": -1})
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("about", "promise", "run", "expected"),
    [
        ("one outcome", TIMEOUT, {"outcomes": 1}, None),
        ("two outcomes", TIMEOUT, {"outcomes": 2}, "several_outcomes"),
        ("waits for a worker", TIMEOUT, {"last_event_at": NOON - HOUR}, None),
        ("waited a day", TIMEOUT, {"last_event_at": NOON - DAY - HOUR}, "no_outcome"),
        ("waits for its retry", RETRIES, {"last_event_at": NOON - DAY - HOUR}, None),
        ("was never enqueued", TIMEOUT, {"requested_at": NOON - DAY - HOUR}, "no_outcome"),
        ("runs", TIMEOUT, {"started_at": NOON - minutes(10)}, None),
        ("ran too long", TIMEOUT, {"started_at": NOON - minutes(12)}, "no_outcome"),
        ("runs, timeout unknown", definition(), {"started_at": NOON - HOUR}, None),
        ("too long for any", definition(), {"started_at": NOON - 2 * HOUR}, "no_outcome"),
        ("may run for ever", FOR_EVER, {"started_at": NOON - 30 * DAY}, None),
    ],
)
def test_a_run_without_an_outcome_is_wrong_once_it_is_too_old(
    about: str, promise: Definition, run: dict, expected: str | None
):
    auditor = CronAuditor(NAME, (), now=NOON)
    events = 0 if "requested_at" in run else 2
    facts = RunFacts(run_id=RUN, requested_at=NOON - HOUR, events=events, version=events)
    auditor.run(facts._replace(**run), promise)
    found = auditor.result()
    assert [finding.kind for finding in found.findings] == ([expected] if expected else [])
    assert found.totals.open_runs == (expected is None and "outcomes" not in run)


def test_a_run_that_lacks_an_event_is_found():
    auditor = CronAuditor(NAME, (), now=NOON)
    auditor.run(RunFacts(run_id=RUN, requested_at=NOON, events=2, version=3, outcomes=1), None)
    assert [finding.kind for finding in auditor.result().findings] == ["version_gap"]


def test_undecided_slots_are_told_by_the_ids_that_their_runs_would_have():
    events = without("09:50")(without("10:37")(a_morning()))
    state = CronState(NAME)
    state.apply(events[0])
    auditor = CronAuditor(NAME, promises(state.phases), now=at("09:40"))
    auditor.decided(decided(events[1]))
    assert auditor.end() == {
        run_id_for_slot(NAME, slot): slot for slot in (at("09:20"), at("09:30"), at("09:40"))
    }


@settings(max_examples=examples(200), deadline=None)
@given(DEFINITIONS, LIMITS, STEPS)
def test_what_decide_made_is_without_a_finding(definition, limits, steps):
    history, now = play(definition, limits, steps)
    now = max(now, history.state.watermark or now)
    found = audited(history.events, now)
    assert found.ok, found
    assert found.totals.expected == len(history.promised())


@settings(max_examples=examples(100), deadline=None)
@given(DEFINITIONS, LIMITS, STEPS)
def test_what_is_counted_is_found_as_if_each_slot_were_walked_over(definition, limits, steps):
    history, now = play(definition, limits, [*steps, (90 * 60, ("decide", None))])
    lost = [event for event in history.events if event.version % 5]
    wrong = [_with_another_count(event) if event.version % 3 else event for event in history.events]
    found = []
    for walked in (1, 10**9):
        with patch.object(auditor_module, "WALKED_MAX", walked):
            found.append([audited(events, now) for events in (history.events, lost, wrong)])
    assert found[0] == found[1]


def _with_another_count(event: Event) -> Event:
    if "count" not in event.data:
        return event
    return replace(event, data={**event.data, "count": event.data["count"] + 1})


def test_years_of_a_one_second_cron_are_audited_at_once():
    history = History()
    history.register(at("03-02 09:00"), schedule="* * * * * *", timezone="Europe/Berlin")
    now = at("03-02 09:00") + timedelta(days=3 * 365)
    history.decide(now)
    expected = 3 * 365 * 86_400
    assert told(audited(history.events, now)) == (
        f"{expected} = 1 fired 0 skipped {expected - 1} missed"
    )
