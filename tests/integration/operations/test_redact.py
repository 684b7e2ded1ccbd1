"""Texts can be removed, by people and by age; facts, seals, folds and projections stay as they were."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from rqcron_events import clock
from rqcron_events.conf import problems
from rqcron_events.core.events import Event
from rqcron_events.execution.spool_entry import parse, write
from rqcron_events.ledger import store
from rqcron_events.ledger.backend import backend_of
from rqcron_events.ledger.cron_states import States
from rqcron_events.models import CronEvent, CronText
from rqcron_events.operations import redact as redaction
from rqcron_events.operations.redact import expire_texts
from tests.sealing import events_of, fire, history, run_of

pytestmark = pytest.mark.django_db(transaction=True)

MESSAGE = "caf\u00e9 \U0001f600"


def printed(*line: str) -> str:
    out = io.StringIO()
    call_command(*line, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def messages() -> list[str]:
    return list(CronText.objects.order_by("event_id").values_list("text", flat=True))


def rows() -> list[Any]:
    """Of events, as they are stored."""
    return backend_of(connection).read(connection, 0, None, 10_000)


def test_words_stand_apart_and_read_as_before():
    history("alpha", runs=1)
    [stored] = CronEvent.objects.of_type("run_failed")
    assert set(stored.data["error"]) == {"type", "shape"}
    assert MESSAGE not in json.dumps(stored.data, ensure_ascii=False)
    [event] = CronEvent.objects.of_type("run_failed").events()
    assert event.data["error"]["message"] == MESSAGE
    assert "texts" not in event.data
    assert MESSAGE in printed("cron_events", "--type", "run_failed")
    assert MESSAGE in printed("cron_explain", "--run", str(run_of("alpha", 1)))


@pytest.mark.parametrize("append", [
    store.append,
    store.append_next,
    lambda events: store.append_batches([list(events)]),
    lambda events: [store.append_free(event) for event in events],
])  # fmt: skip
def test_every_way_into_the_log_takes_words_apart(append: Any):
    append(events_of("alpha", 1, 0))
    assert messages() == [MESSAGE]


def test_an_ordinary_run_costs_no_statement_more(django_assert_num_queries: Any):
    batch = events_of("alpha", 1, 0)
    failed = batch.pop()
    store.append(batch[:2])
    with django_assert_num_queries(1):
        store.append_free(batch[2])
    with django_assert_num_queries(1):
        store.append_free(batch[3])
    with django_assert_num_queries(4):  # a savepoint or a transaction around two
        store.append_free(failed)
    assert messages() == [MESSAGE]


def test_a_run_a_cron_or_what_matches_is_removed_and_that_is_said():
    history("alpha", "beta", runs=2)
    before = rows()
    run = run_of("alpha", 2)
    assert printed("cron_redact", "--run", str(run), "--dry-run") == "1 text would be removed.\n"
    text = printed("cron_redact", "--run", str(run), "--reason", "asked by mail", "--by", "ann")
    assert text.startswith("1 text removed.")
    assert len(messages()) == 3
    assert rows()[: len(before)] == before
    [said] = CronEvent.objects.of_type("text_redacted")
    assert (said.actor, said.reason, said.data["removed"]) == ("ann", "asked by mail", 1)
    assert said.data["run_ids"] == [str(run)]
    assert "(removed)" in printed("cron_explain", "--run", str(run))
    printed("cron_redact", "--cron", "beta", "--reason", "w", "--by", "ann")
    assert len(messages()) == 1
    nothing = printed("cron_redact", "--match", "CAFE", "--reason", "w", "--by", "ann")
    assert nothing.startswith("No text matches")
    printed("cron_redact", "--match", "CAF.", "--ignore-case", "--reason", "w", "--by", "ann")
    assert messages() == []
    assert "CAF" not in json.dumps([row.data for row in CronEvent.objects.of_type("text_redacted")])


def test_what_it_asks_for():
    history("alpha", runs=1)
    for line, text in (
        ((), "Say which texts"),
        (("--cron", "alpha"), "Say why"),
        (("--cron", "gamma", "--reason", "w"), "gamma"),
        (("--match", "(", "--reason", "w"), "no regular expression"),
        (("--match", "", "--reason", "w"), "would match every text"),
        (("--run", "nobody", "--reason", "w"), "is not an id"),
    ):
        with pytest.raises(CommandError, match=text):
            printed("cron_redact", *line)
    assert messages() == [MESSAGE]


def test_folds_know_nothing_of_words():
    history("alpha", runs=3)
    before = States.load().crons["alpha"].to_data()
    printed("cron_redact", "--match", ".", "--reason", "w", "--by", "ann")
    assert States.load().crons["alpha"].to_data() == before


def aged(days: int, *, first: int) -> None:
    for text in CronText.objects.order_by("event_id")[:first]:
        old = clock.now() - timedelta(days=days)
        CronText.objects.filter(id=text.id).update(stored_at=old)


def test_old_texts_go_and_one_event_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(redaction, "TEXTS_PER_EVENT", 2)
    history("alpha", runs=6)
    aged(40, first=5)
    assert expire_texts(clock.now() - timedelta(days=30)) == 5
    assert len(messages()) == 1
    [said] = CronEvent.objects.of_type("texts_expired")
    assert said.data["removed"] == 5
    assert expire_texts(clock.now() - timedelta(days=30)) == 0
    assert CronEvent.objects.of_type("texts_expired").count() == 1
    fire("alpha", 9)
    aged(40, first=2)
    assert expire_texts(clock.now() - timedelta(days=30)) == 2
    assert CronEvent.objects.of_type("texts_expired").count() == 2


def test_the_leader_does_it_where_the_project_says_how_long(
    settings: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(redaction, "_next_at", float("-inf"))
    history("alpha", runs=2)
    aged(40, first=1)
    assert redaction.expire_when_due() == 0
    settings.RQCRON_TEXT_DAYS = 30
    assert redaction.expire_when_due() == 1
    assert redaction.expire_when_due() == 0
    assert len(messages()) == 1
    settings.RQCRON_TEXT_DAYS = 0
    assert "from 1 to 36500" in problems()[0]


def failing(message: str) -> Sequence[Event]:
    return [
        event if "error" not in event.data
        else Event(
            stream=event.stream, version=event.version, type=event.type, cron=event.cron,
            run_id=event.run_id, scheduled_for=event.scheduled_for, occurred_at=event.occurred_at,
            actor=event.actor, data={"error": {"type": "E", "message": message}},
        )
        for event in events_of("alpha", 1, 0)
    ]  # fmt: skip


def scrubbed_by_us(text: str) -> str:
    return text.replace("Ann", "somebody")


def lying(text: str) -> int:
    return 7


def raising(text: str) -> str:
    raise SystemExit(text)


HANG: list[Any] = []


def hanging(text: str) -> str:
    HANG[0].wait(60)
    return text


HERE = "tests.integration.operations.test_redact"


@pytest.mark.parametrize(
    ("hook", "stored"),
    [
        (None, "password=opensesame of Ann"),
        ("rqcron_events.core.words.secrets.without_secrets", "password=[secret] of Ann"),
        (f"{HERE}.scrubbed_by_us", "password=opensesame of somebody"),
        (f"{HERE}.lying", "it returned int and not a str"),
        (f"{HERE}.raising", "it raised SystemExit"),
        (f"{HERE}.hanging", "it did not answer within 2 s"),
        ("no.such.function", "ModuleNotFoundError"),
    ],
)
def test_a_hook_sees_each_text_and_what_it_fails_on_is_not_stored(
    hook: str | None, stored: str, settings: Any
):
    import threading

    HANG[:] = [threading.Event()]
    settings.RQCRON_SCRUB = hook
    store.append(failing("password=opensesame of Ann"))
    HANG[0].set()
    [text] = messages()
    assert stored in text
    if hook is not None and "does not work" in text:
        assert "Ann" not in text


def test_secrets_do_not_wait_in_redis_either():
    event = failing("password=opensesame")[-1]
    raw = write(event)
    assert b"opensesame" not in raw
    assert event.run_id is not None
    entry = parse(raw, event.run_id, clock.now())
    assert entry.data["error"]["message"] == "password=[secret]"
    assert "texts" not in entry.data


def test_a_setting_that_is_no_path_is_named(settings: Any):
    settings.RQCRON_SCRUB = "no path"
    assert "RQCRON_SCRUB is 'no path'" in problems()[0]
