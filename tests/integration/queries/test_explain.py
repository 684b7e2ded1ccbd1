"""``explain`` over a stored log: what it looks up beside the decision about the slot."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from rqcron_events import explain
from rqcron_events.core.events import Event, EventType, cron_stream
from rqcron_events.core.explain.explanation import Explanation
from rqcron_events.ledger import store
from rqcron_events.ledger.backend import backend_of
from rqcron_events.models import CronEvent
from rqcron_events.queries.health import health
from rqcron_events.registry import registry
from rqcron_events.testing import FakeClock
from tests.unit.history import NAME, History, at

pytestmark = pytest.mark.django_db

SUCCEEDED = EventType.RUN_SUCCEEDED


RUNNER = Event(
    stream="runner/one", version=1, type=EventType.RUNNER_STARTED, occurred_at=at("08:50")
)
"""It is alive all the time."""


def asked(history: History, slot: str, now: str = "10:00") -> Explanation:
    store.append([RUNNER])
    store.append(history.events)
    with FakeClock(at(now)):
        return explain(NAME, at(slot))


def types(answer: Explanation) -> list[str]:
    return [event.type.value for event in answer.events]


def test_a_slot_whose_decision_is_gone_is_not_said_to_be_decided_yet():
    history = History()
    history.register(at("08:55"))
    for now in ("09:00:01", "09:10:01", "09:20:01"):
        history.step(at(now))
    history.run(EventType.RUN_STARTED, at("09:10"), at("09:10:02"), attempt=1)
    store.append(history.events)
    backend_of(connection).set_append_only(connection, False)
    with connection.cursor() as cursor:
        gone = CronEvent.objects.decisions().order_by("id")[1]
        cursor.execute("DELETE FROM rqcron_event WHERE id = %s", [gone.id])
    backend_of(connection).set_append_only(connection, True)
    with FakeClock(at("09:25")):
        answer = explain(NAME, at("09:10"))
    assert (answer.verdict, answer.reason) == ("pending", "unaccounted")
    assert "no decision about it is recorded" in answer.summary
    assert "cron_audit alpha" in answer.summary
    assert types(answer) == ["cron_registered", "run_started"]


def test_a_pause_of_everything_is_told_of_a_slot_to_come():
    history = History()
    history.register(at("08:55"))
    history.pause_all(at("09:01"), until=at("10:25"), reason="freeze")
    answer = asked(history, "10:20")
    assert (answer.verdict, answer.reason) == ("pending", "all_paused")
    assert (
        "all crons are paused by ada until 2026-03-02 10:25:00 UTC (freeze), so this slot will be "
        "skipped" in answer.summary
    )
    assert types(answer) == ["cron_registered", "all_paused"]
    with FakeClock(at("10:00")):
        assert explain(NAME, at("10:30")).reason == "future"


def test_a_slot_that_a_pause_of_everything_skipped_names_who_began_and_who_ended_it():
    history = History()
    history.register(at("08:55"))
    history.pause_all(at("08:57"), reason="first")
    history.resume_all(at("08:58"))
    history.pause_all(at("08:59"), reason="freeze")
    history.step(at("09:00:01"))
    history.resume_all(at("09:05"))
    history.step(at("09:10:01"))
    answer = asked(history, "09:00")
    assert answer.reason == "all_paused"
    assert (
        "all crons were paused by ada at 2026-03-02 08:59:00 UTC (freeze); ada resumed them at"
        in (answer.summary)
    )
    assert types(answer) == ["cron_registered", "all_paused", "slot_skipped", "all_resumed"]
    with FakeClock(at("10:00")):
        assert types(explain(NAME, at("09:10"))) == ["cron_registered", "slot_fired"]


@pytest.fixture
def queued() -> History:
    """09:00 runs until 09:25; 09:10 gives way to 09:20, which waits."""
    history = History()
    history.register(at("08:55"), overlap="queue")
    history.step(at("09:00:01"))
    history.step(at("09:10:01"))
    history.run(SUCCEEDED, at("09:00"), at("09:25"))
    history.step(at("09:25:01"))
    return history


def test_a_slot_that_gave_way_to_a_later_one_names_it_and_what_both_waited_for(queued):
    answer = asked(queued, "09:10")
    assert (answer.verdict, answer.reason) == ("missed", "superseded")
    first, later = (str(queued.run_of(at(slot)))[:8] for slot in ("09:00", "09:20"))
    assert f"the later slot 2026-03-02 09:20:00 UTC ran instead, as run {later}" in answer.summary
    assert f"it waited for run {first} to end, until 2026-03-02 09:25:00 UTC" in answer.summary
    assert types(answer) == ["cron_registered", "slot_missed", "slot_fired"]
    assert answer.lateness_seconds == 15 * 60 + 1


def test_a_slot_that_fired_late_names_the_run_that_it_waited_for(queued):
    answer = asked(queued, "09:20")
    assert answer.verdict == "fired"
    assert f"it waited for run {str(queued.run_of(at('09:00')))[:8]} to end" in answer.summary
    with FakeClock(at("10:00")):
        assert "waited" not in explain(NAME, at("09:00")).summary


def test_a_slot_that_waits_for_a_run_is_no_lag():
    history = History()
    history.register(at("08:55"), overlap="queue")
    history.step(at("09:00:01"))
    store.append(history.events)
    with FakeClock(at("09:15")):
        assert health(60).oldest_undecided_cron == ""
        answer = explain(NAME, at("09:10"))
    assert (answer.verdict, answer.reason) == ("pending", "waiting")
    assert f"waits for run {str(history.run_of(at('09:00')))[:8]} to end" in answer.summary
    history.run(SUCCEEDED, at("09:00"), at("09:16"))
    store.append(history.events[-1:])
    with FakeClock(at("09:17")):
        assert health(60).oldest_undecided_at == at("09:10")


def test_a_backfill_is_told_where_the_cron_was_not_registered_or_not_due():
    history = History()
    history.register(at("08:55"))
    for version, slot in ((2, at("08:00")), (3, at("09:05"))):
        history.events.append(
            Event(
                stream=cron_stream(NAME),
                version=version,
                type=EventType.RUN_REQUESTED,
                cron=NAME,
                run_id=UUID(int=version),
                scheduled_for=slot,
                actor="dan",
                occurred_at=at("09:30"),
                data={"trigger": "backfill"},
            )
        )
    answers = [asked(history, "08:00")]
    with FakeClock(at("10:00")):
        answers.append(explain(NAME, at("09:05")))
    assert [answer.verdict for answer in answers] == ["not_registered", "not_a_slot"]
    for answer in answers:
        assert "dan asked for run 00000000 of this slot" in answer.summary
        assert [request.actor for request in answer.requests] == ["dan"]
        assert types(answer) == ["cron_registered", "run_requested"]


@pytest.mark.parametrize(
    ("slot", "before", "after"),
    [
        ("08:52", None, "09:00"),
        ("09:00", None, "09:10"),
        ("09:10", "09:00", "09:15"),  # edited at 09:12
        ("09:14", "09:10", "09:15"),
        ("09:15", "09:10", "09:30"),
        ("09:40", "09:30", "10:00"),  # retired from 09:31 to 09:50
    ],
)
def test_the_slots_around_are_those_that_were_promised(slot, before, after):
    history = History()
    history.register(at("08:55"))
    history.step(at("09:10:01"))
    history.register(at("09:12"), schedule="*/15 * * * *")
    history.step(at("09:30:01"))
    history.retire(at("09:31"))
    history.register(at("09:50"), schedule="*/20 * * * *")
    answer = asked(history, slot, "09:55")
    assert (answer.previous_slot, answer.next_slot) == (before and at(before), at(after))


def test_a_leader_that_fell_silent_later_is_not_why_an_earlier_slot_was_late():
    history = History()
    history.register(at("08:55"), max_lateness_seconds=60)
    store.append(history.events)
    missed = {"first": at("09:00"), "last": at("09:10")}
    held_up = {
        "since": at("09:05").isoformat(),
        "until": at("09:15").isoformat(),
        "cause": "stale_lease",
        "runner": "one",
    }
    decided = Event(
        stream=cron_stream(NAME),
        version=2,
        type=EventType.SLOT_MISSED,
        cron=NAME,
        scheduled_for=at("09:10"),
        reason="too_late",
        occurred_at=at("09:15"),
        data={
            **{name: instant.isoformat() for name, instant in missed.items()},
            "count": 2,
            "held_up": held_up,
        },
    )
    store.append([RUNNER])
    store.append([decided])
    with FakeClock(at("09:30")):
        assert explain(NAME, at("09:00")).downtime is None
        late = explain(NAME, at("09:10")).downtime
    assert late is not None
    assert late.runner == "one"


def test_a_fixed_time_that_the_clocks_skipped_ran_later_in_the_past_tense():
    history = History()
    day = datetime.fromisoformat("2026-03-07T00:00:00+00:00")
    history.register(day, schedule="30 2 * * *", timezone="America/New_York")
    slot = datetime.fromisoformat("2026-03-08T07:00:00+00:00")
    history.step(slot + timedelta(seconds=1))
    store.append(history.events)
    with FakeClock(slot + timedelta(hours=1)):
        assert "it ran at 03:00 instead" in explain(NAME, slot).summary
        assert "it runs" not in explain(NAME, slot).summary


def test_without_an_instant_the_slot_that_has_just_fired_is_explained():
    history = History()
    history.register(at("08:55"))
    history.step(at("09:00:00"))
    store.append([RUNNER, *history.events])
    with FakeClock(at("09:00:01")):
        answer = explain(NAME)
    assert (answer.verdict, answer.slot) == ("fired", at("09:00"))


def test_a_cron_that_only_the_code_has_is_no_unknown_name():
    (name, *_) = registry.crons
    assert explain(name).summary == (
        f"Cron {name!r} is in this code, but not registered yet. A runner that starts with this code "
        "registers it."
    )


def test_a_row_with_its_name_in_another_stream_does_not_answer_for_it(rows_of_before):
    """And the earliest slot after a time is found by the index, without all that came later."""
    history = History()
    history.register(at("08:55"))
    history.step(at("09:10:00"))
    foreign = Event(
        stream=cron_stream("somebody-else"),
        version=1,
        type=EventType.SLOT_SKIPPED,
        cron=NAME,
        scheduled_for=at("09:10"),
        reason="paused",
        occurred_at=at("09:10"),
        data={"first": at("09:00").isoformat(), "count": 1},
    )
    store.append([foreign])
    with CaptureQueriesContext(connection) as queries:
        answer = asked(history, "09:10")
    assert answer.verdict == "fired"
    ordered = [q["sql"] for q in queries if 'ORDER BY "rqcron_event"."scheduled_for"' in q["sql"]]
    assert ['"stream" =' in sql for sql in ordered] == [False, True], ordered
