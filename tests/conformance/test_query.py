"""docs/query.md says what is true: its examples run, and each method has its index."""

from __future__ import annotations

import doctest
import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.db import connection

from rqcron_events.core.definition import Definition, run_id_for_slot
from rqcron_events.core.events import Event, EventType, cron_stream, run_stream
from rqcron_events.ledger import store
from rqcron_events.ledger.cron_states import newest_decisions
from rqcron_events.ledger.follow import follow, head
from rqcron_events.models import CronEvent
from tests.processes import ROOT

CRON = "send_digest"
MONDAY = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
ERROR = {"error": {"type": "ConnectionRefusedError", "message": "port 25"}}


class Log:
    """Appends what runner, worker and people would, a second apart."""

    def __init__(self) -> None:
        self.now = MONDAY - DAY
        self.versions: dict[str, int] = {}

    def append(self, kind: str, run_id: UUID | None = None, **values) -> None:
        own = kind.startswith(("cron_", "slot_"))
        stream = cron_stream(CRON) if own else run_stream(run_id)
        self.versions[stream] = self.versions.get(stream, 0) + 1
        self.now += SECOND
        store.append(
            [
                Event(
                    stream=stream,
                    version=self.versions[stream],
                    type=EventType(kind),
                    cron=CRON,
                    run_id=run_id,
                    occurred_at=self.now,
                    **{"actor": "runner/web-1", **values},
                )
            ]
        )


@pytest.fixture
def log(transactional_db) -> Log:
    """The history that the page describes."""
    found = Log()
    definition = Definition(
        name=CRON, function="mail:send", expression="0 9 * * 1-5", timezone="America/New_York"
    )
    found.append(
        "cron_registered", data={"definition": definition.to_data(), "definition_version": 1}
    )
    run = run_id_for_slot(CRON, MONDAY)
    found.now = MONDAY
    found.append("slot_fired", run, scheduled_for=MONDAY, data={"lateness_seconds": 1.0})
    found.append("run_enqueued", run)
    found.append("run_started", run, attempt=1)
    found.append("attempt_failed", run, attempt=1, reason="exception", data=ERROR)
    found.append("run_started", run, attempt=2)
    found.append("run_succeeded", run, attempt=2)
    found.now = MONDAY + DAY - SECOND * 60
    found.append("cron_paused", reason="the mail server moves", actor="ann")
    tuesday = (MONDAY + DAY).isoformat()
    paused = {"since": found.now.isoformat(), "until": None, "actor": "ann", "reason": "the mail"}
    slot = {"first": tuesday, "last": tuesday, "count": 1, "evidence": paused}
    found.now = MONDAY + DAY
    found.append("slot_skipped", scheduled_for=MONDAY + DAY, reason="paused", data=slot)
    found.now = MONDAY + 2 * DAY - SECOND * 60
    found.append("cron_resumed", actor="ann")
    found.now = MONDAY + 2 * DAY
    run = run_id_for_slot(CRON, MONDAY + 2 * DAY)
    found.append("slot_fired", run, scheduled_for=MONDAY + 2 * DAY)
    found.append("run_enqueued", run)
    found.append("run_started", run, attempt=1)
    found.append("run_failed", run, attempt=1, reason="exception", data=ERROR)
    return found


def test_the_examples_of_the_page_print_what_it_shows(log: Log):
    page = (ROOT / "docs/query.md").read_text()
    blocks = re.findall(r"```pycon\n(.*?)```", page, re.DOTALL)
    assert len(blocks) >= 9
    examples = doctest.DocTestParser().get_doctest("".join(blocks), {}, "query.md", None, 0)
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    result = runner.run(examples, out=said.append)
    assert result.failed == 0, "".join(said)
    assert result.attempted == page.count("\n>>> ")


def test_following_goes_on_from_any_event_and_ends_when_it_is_told_to(log: Log):
    everything = [event.id for event in follow(0, idle_seconds_max=0)]
    assert everything == [*CronEvent.objects.values_list("id", flat=True)]
    for place in (3, 9):
        rest = [event.id for event in follow(everything[place], idle_seconds_max=0)]
        assert rest == everything[place + 1 :]
    assert [*follow(idle_seconds_max=0)] == []


def test_following_without_a_position_begins_with_what_comes_next(log: Log):
    stream = follow(head(), idle_seconds_max=5, poll_seconds=0.01)
    log.append("cron_paused", actor="ann")
    assert next(stream).type == "cron_paused"


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (
            lambda rows: rows.of_type("slot_fire"),
            "'slot_fire' is unknown. Did you mean 'slot_fired'",
        ),
        (lambda rows: rows.of_type("zzz"), "Known: cron_registered, "),
        (lambda rows: rows.for_run("abc"), "Run id 'abc' is invalid: a run id is a UUID"),
        (lambda rows: rows.between(datetime(2026, 3, 2), None), "since=2026-03-02T.*no time zone"),
        (lambda rows: rows.between(None, datetime(2026, 3, 2)), "until=2026-03-02T.*no time zone"),
        (
            lambda rows: rows.between(MONDAY, MONDAY - SECOND),
            "The range is empty: since 2026-03-02",
        ),
    ],
)
def test_a_question_that_cannot_be_meant_is_refused_and_not_answered_with_nothing(ask, said: str):
    with pytest.raises(ValueError, match=said):
        ask(CronEvent.objects)


QUERIES = {
    "rqcron_event_cron": lambda rows: rows.for_cron("c7"),
    "rqcron_event_run": lambda rows: rows.for_run(UUID(int=7)),
    "rqcron_event_occurred": lambda rows: rows.between(MONDAY, MONDAY + SECOND * 60),
    "rqcron_event_type": lambda rows: rows.of_type("run_failed", "run_lost"),
    "rqcron_event_decision": lambda rows: rows.for_cron("c7").decisions(),
    "rqcron_event_pkey": lambda rows: rows.outcomes().order_by("-id")[:20],
}


@pytest.fixture
def long_log(postgresql, transactional_db) -> None:
    """20,000 events: enough for PostgreSQL to prefer an index wherever there is one."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO rqcron_event
                (stream, version, type, schema_version, cron, run_id, scheduled_for, reason, actor,
                 occurred_at, data)
            SELECT CASE k WHEN 1 THEN 'cron/c' || (i %% 50) ELSE 'run/' || md5(i::text)::uuid END,
                CASE k WHEN 1 THEN i ELSE k END, (array['slot_fired', 'run_enqueued', 'run_started', 'run_succeeded'])[k],
                1, 'c' || (i %% 50), md5(i::text)::uuid, %s + i * interval '1 minute', '', '',
                %s + i * interval '1 minute', '{}'
            FROM generate_series(1, 5000) i, generate_series(1, 4) k
            """,
            [MONDAY, MONDAY],
        )
        cursor.execute("ANALYZE rqcron_event")


@pytest.mark.parametrize("index", QUERIES)
def test_each_question_has_its_index(long_log, index: str):
    plan = QUERIES[index](CronEvent.objects.all()).explain()
    assert index in plan, plan
    assert "Seq Scan" not in plan


def test_the_reruns_of_a_slot_are_found_by_the_index_of_decisions(long_log):
    """Not by that of types, which a large backfill fills."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO rqcron_event
                (stream, version, type, schema_version, cron, run_id, scheduled_for, reason, actor,
                 occurred_at, data)
            SELECT 'cron/c7', 10000 + i, 'run_requested', 1, 'c7', md5('again' || i)::uuid,
                %s + i * interval '1 minute', '', 'ann', %s, '{}'
            FROM generate_series(1, 5000) i
            """,
            [MONDAY, MONDAY],
        )
        cursor.execute("ANALYZE rqcron_event")
    asked = CronEvent.objects.filter(cron="c7", type="run_requested", scheduled_for=MONDAY)
    assert "rqcron_event_decision" in asked.explain()


def test_the_page_names_the_indexes_that_the_table_has():
    page = (ROOT / "docs/query.md").read_text()
    named = dict(re.findall(r"`(rqcron_event_\w+)` `\((.+?)\)`", page))
    has = {index.name: ", ".join(index.fields) for index in CronEvent._meta.indexes}
    assert named.items() <= has.items()
    assert set(re.findall(r"`(rqcron_event_\w+)`", page)) == named.keys()


def test_newest_decisions_are_found_without_reading_the_older_ones(long_log):
    """Of many crons at once, as health, cron_list and the pages do: the work does not grow with the
    log."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO rqcron_event
                (stream, version, type, schema_version, cron, reason, actor, occurred_at, data)
            SELECT 'cron/c' || i, 10000, 'cron_registered', 1, 'c' || i, '', '', %s,
                '{"definition": {}, "definition_version": 1}'
            FROM generate_series(0, 49) i
            """,
            [MONDAY],
        )
        cursor.execute("ANALYZE rqcron_event")
    registered = CronEvent.objects.of_type("cron_registered")
    plan = newest_decisions(registered).explain()
    found = re.findall(
        r"Index Scan Backward using rqcron_event_stream_version .*? rows=(\d+)", plan
    )
    assert len(found) == 2, plan
    # As many as the average run has, and it may just as well read the whole stream and sort it.
    assert min(map(int, found)) > 10, plan
