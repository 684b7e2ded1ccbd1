"""What every command prints, in every format and at every width."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command, get_commands
from django.db import connection

from rqcron_events.cli import render
from rqcron_events.core.definition import run_id_for_slot
from rqcron_events.core.events import Event, EventType, cron_stream, run_stream, runner_stream
from rqcron_events.ledger import store
from rqcron_events.testing import FakeClock

pytestmark = pytest.mark.django_db

START = datetime(2026, 3, 2, 22, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SLOT = START + 2 * MINUTE
LONG = "long_" + "x" * 190 + "_last"
WIDE = "\u65e5\u672c\u8a9e_na\u00efve_" + "\u9577" * 30
NEWS = "news"
WIDTHS = (80, 120, 200)


@pytest.fixture
def log(settings: Any, redis_connection: Any) -> Iterator[None]:
    settings.TIME_ZONE = "Europe/Berlin"
    with FakeClock(START + 5 * MINUTE):
        store.append([event for name in (LONG, WIDE, NEWS) for event in _of(name)])
        store.append([
            Event(stream=runner_stream("r"), version=1, type=EventType.RUNNER_STARTED,
                  occurred_at=START, actor="runner/" + "w" * 150,
                  data={"host": "h", "pid": 1, "crons": 3, "registry": "r"}),
        ])  # fmt: skip
        yield


def _of(name: str) -> list[Event]:
    own, run = cron_stream(name), run_id_for_slot(name, SLOT)
    new = {
        "name": name,
        "function": f"shop.crons:{name}",
        "expression": "H H * * *" if name == WIDE else "*/2 * * * *",
        "timezone": "America/New_York" if name == NEWS else "Asia/Tokyo",
        "description": "a long description of what it does " * 20,
        "store_result": True,
    }
    error = {"type": "ValueError", "message": "no " * 300, "traceback": "T\n" + "  x" * 300}
    done = {"duration_seconds": 75.0, "result": '{"rows": 3}'}
    failed = name == LONG
    told = [
        (own, EventType.CRON_REGISTERED, {"definition": new | {"expression": "*/3 * * * *"},
         "definition_version": 1, "effective_from": START.isoformat()}),
        (own, EventType.CRON_CHANGED, {"definition": new, "definition_version": 2,
         "effective_from": START.isoformat(),
         "changes": {"expression": ["*/3 * * * *", new["expression"]], "overlap": [None, "skip"]}}),
        (own, EventType.SLOT_FIRED, {"definition_version": 2, "lateness_seconds": 75.5}),
        (own, EventType.CRON_PAUSED, {"until": (START + timedelta(hours=3)).isoformat(),
         "effective_from": (SLOT + MINUTE).isoformat()}),
        (run_stream(run), EventType.RUN_ENQUEUED, {"queue": "default", "job_id": "cron-1"}),
        (run_stream(run), EventType.RUN_STARTED, {}),
        (run_stream(run), EventType.RUN_FAILED if failed else EventType.RUN_SUCCEEDED,
         {"error": error} if failed else done),
    ]  # fmt: skip
    versions: dict[str, int] = {}
    events = []
    for stream, kind, data in told:
        versions[stream] = versions.get(stream, 0) + 1
        of_run = stream != own or kind is EventType.SLOT_FIRED
        paused = kind is EventType.CRON_PAUSED
        events.append(
            Event(
                stream=stream, version=versions[stream], type=kind, cron=name, data=data,
                occurred_at=SLOT + MINUTE if paused or of_run else START,
                run_id=run if of_run else None, scheduled_for=SLOT if of_run else None,
                attempt=1 if stream != own and kind is not EventType.RUN_ENQUEUED else None,
                actor="anna" if paused else "worker/" + "w" * 40,
                reason="the warehouse moves to another place" if paused else "",
            )
        )  # fmt: skip
    return events


RUN = str(run_id_for_slot(NEWS, SLOT))
ROWS = ("table", "json", "csv")
DATA = {
    ("cron_list",): ROWS,
    ("cron_list", NEWS): ROWS,
    ("cron_history", NEWS): ROWS,
    ("cron_history", LONG): ROWS,
    ("cron_events", "--limit", "0"): ROWS,
    ("cron_events", "--cron", LONG): ROWS,
    ("cron_events", "--follow"): ROWS,
    ("cron_explain", NEWS, "--at", SLOT.isoformat()): ROWS[:2],
    ("cron_explain", LONG, "--at", SLOT.isoformat()): ROWS[:2],
    ("cron_explain", WIDE): ROWS[:2],
    ("cron_explain", "nobody"): ROWS[1:2],
    ("cron_audit",): ROWS,
    ("cron_report", "--since", "2026-03-01"): ROWS,
    ("cron_report", "--by", "hour", "--since", "2026-03-02"): ROWS,
    ("cron_replay",): ROWS[:2],
    ("cron_replay", "--check"): ROWS[:2],
    ("cron_replay", "--at", "now"): ROWS[:2],
    ("cron_reconcile", "--dry-run"): ROWS,
    ("cron_quarantine",): ROWS,
    ("cron_health",): ROWS[:2],
    ("cron_verify",): ROWS[:2],
    ("cron_backfill", NEWS, "--from", "2026-03-02", "--dry-run"): ROWS,
}
ACTIONS = [
    ("cron_pause", LONG, "--until", "2h"),
    ("cron_pause", "--all", "--reason", "no " * 50),
    ("cron_resume", WIDE),
    ("cron_trigger", NEWS),
    ("cron_rerun", RUN),
    ("cron_quarantine", "--retry"),
    ("cron_redact", "--match", "nobody said this", "--reason", "no " * 90),
]
ELSEWHERE = {
    "cron_run", "cron_worker", "cron_standalone", "cron_rewind", "cron_cancel", "cron_signal", "cron_seal",
    "cron_archive", "cron_restore",
}  # fmt: skip
"""Their output is a log, or needs what only their own tests have."""
LINES = [
    *((*line, "--format", item) for line, formats in DATA.items() for item in formats),
    *ACTIONS,
]


def test_every_command_is_tried() -> None:
    ours = {name for name in get_commands() if name.startswith("cron_")}
    assert {line[0] for line in LINES} | ELSEWHERE == ours


@pytest.fixture(autouse=True)
def _nothing_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "follow_log", lambda position: iter(()))


def printed(*line: str) -> str:
    out = io.StringIO()
    try:
        call_command(*line, stdout=out, stderr=io.StringIO())
    except (CommandError, SystemExit):
        assert out.getvalue(), line  # it says no, and what it found
    return out.getvalue()


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line[0]}-{len(line)}-{line[-1][:5]}")
def test_what_is_printed_fits_and_can_be_read_by_programs(
    log: None, monkeypatch: pytest.MonkeyPatch, line: tuple[str, ...]
) -> None:
    for width in WIDTHS:
        monkeypatch.setenv("COLUMNS", str(width))
        text = printed(*line)
        if line[-1] == "json":
            objects = text.splitlines() if "--follow" in line else [text]
            assert [json.loads(item) for item in objects]
        elif line[-1] == "csv":
            check_csv(text)
        else:
            assert text.strip()
            wide = [row for row in text.splitlines() if cells(row) > width]
            assert not wide, f"{cells(wide[0])} cells: {wide[0]}"
        if line in ACTIONS:
            break  # it is done


def check_csv(text: str) -> None:
    head, *rows = csv.reader(io.StringIO(text))
    assert all(len(row) == len(head) for row in rows)
    assert not [cell for row in rows for cell in row if cell.startswith(("{", "["))]


def cells(text: str) -> int:
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(unicodedata.combining(character) > 0 for character in text)


def test_a_pipe_has_tables_of_one_width_and_sentences_in_one_line(
    log: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert max(map(cells, printed("cron_events", "--limit", "0").splitlines())) <= 200
    assert max(map(cells, printed("cron_list").splitlines()[:4])) <= 200
    assert ("no " * 300).strip() in printed(
        "cron_explain", LONG, "--at", SLOT.isoformat()
    ).splitlines()[0]


@pytest.mark.parametrize("command", [line for line, formats in DATA.items() if "csv" in formats
                                     and line[0] not in ("cron_history", "cron_backfill")
                                     and NEWS not in line and LONG not in line],
                         ids=" ".join)  # fmt: skip
def test_a_csv_has_one_head_whatever_is_in_it(command: tuple[str, ...], redis_connection) -> None:
    line = (*command, "--format", "csv")
    with FakeClock(START + 5 * MINUTE):
        empty = printed(*line)
        store.append(_of(NEWS))
        full = printed(*line)
    assert full.splitlines()[0] == empty.splitlines()[0]
    assert len(empty.splitlines()) == 1


def test_a_followed_csv_has_the_head_of_the_whole_one(log: None) -> None:
    whole = printed("cron_events", "--format", "csv")
    assert whole.startswith("id,occurred_at,recorded_at,stream,")
    assert printed("cron_events", "--follow", "--format", "csv") == whole


def test_one_long_name_widens_nothing(log: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    heading, _, *lines = printed("cron_list").splitlines()
    assert heading.split() == ["name", "status", "next", "slot", "schedule"]
    assert lines[0].startswith("long_xx") and "xx_last  paused" in lines[0]
    assert lines[1].startswith("news  ")
    assert "Hidden at this width: last run status" in "\n".join(lines)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        # The project's zone where no cron is named, that of the cron where one is.
        (("cron_list",), "2026-03-03 02:02:00 CET"),
        (("cron_list", NEWS), "2026-03-02 20:02:00 EST"),
        (("cron_history", NEWS), "2026-03-02 17:02:00 EST"),
        (("cron_events",), "2026-03-02 23:00:00.000 CET"),
        (("cron_events", "--cron", NEWS), "2026-03-02 17:00:00.000 EST"),
        (("cron_explain", LONG, "--at", SLOT.isoformat()),
         f"{LONG} fired for 2026-03-03 07:02:00 JST (2026-03-02 22:02:00 UTC)"),
        (("cron_pause", LONG, "--until", "2026-03-04 00:00"),
         "2026-03-04 00:00:00 JST (2026-03-03 15:00:00 UTC)"),
        # Who stopped it until when, what has changed, what was returned, what H is.
        (("cron_list",), "paused by anna since 2026-03-02 23:03:00 CET (22:03:00 UTC) until "
                         "2026-03-03 02:00:00 CET (01:00:00 UTC) (the warehouse moves"),
        (("cron_events",), "paused until 2026-03-03 02:00:00 CET: the warehouse moves"),
        (("cron_events", "--cron", NEWS),
         "changed: expression */3 * * * * \u2192 */2 * * * *, overlap allow \u2192 skip"),
        (("cron_history", NEWS), '{"rows": 3}'),
        (("cron_explain", NEWS, "--at", SLOT.isoformat()), '  result      {"rows": 3}'),
        (("cron_explain", WIDE), "H H * * * = 49 18 * * *  (Asia/Tokyo"),
        (("cron_list",), "H H * * * = 49 18 * * *"),
        (("cron_history", NEWS), "1 min 15 s"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else "",
)  # fmt: skip
def test_what_people_look_for_is_there(
    log: None, monkeypatch: pytest.MonkeyPatch, line: tuple[str, ...], shown: str
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    assert shown in printed(*line)


def test_json_of_the_history_has_the_results(log: None) -> None:
    (run,) = json.loads(printed("cron_history", NEWS, "--format", "json"))
    assert (UUID(run["run_id"]), run["result"]) == (UUID(RUN), '{"rows": 3}')


def test_an_unknown_cron_is_json_and_an_exit_code(log: None) -> None:
    out = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("cron_explain", "nobody", "--format", "json", stdout=out)
    assert ended.value.code == 1
    assert json.loads(out.getvalue())["verdict"] == "unknown_cron"


UNMIGRATED = [
    *({line[:2]: None for line in DATA if line[0] != "cron_health"}),
    ("cron_health",),
    ("cron_run", "--once"),
    ("cron_pause", NEWS),
    ("cron_trigger", NEWS),
    ("cron_resume", "--all"),
]


@pytest.mark.parametrize("line", UNMIGRATED, ids=lambda line: line[0])
def test_a_database_without_the_tables_asks_for_migrate(
    redis_connection: Any, line: tuple[str, ...]
) -> None:
    with connection.cursor() as cursor:
        names = [item.name for item in connection.introspection.get_table_list(cursor)
                 if item.type == "t" and item.name.startswith("rqcron_")]  # fmt: skip
        for name in names:
            cursor.execute(f'ALTER TABLE "{name}" RENAME TO "x{name}"')
    more = ("--from", "2026-03-02") if line[0] == "cron_backfill" else ()
    line = {"cron_replay": line[:1], "cron_report": line[:1], "cron_events": line[:1]}.get(
        line[0], line
    )
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(CommandError) as error:
        call_command(*line, *more, stdout=out, stderr=err)
    assert str(error.value).startswith("Database 'default' has no table rqcron_")
    assert str(error.value).endswith(" yet. Run: manage.py migrate")
    assert out.getvalue() == err.getvalue() == ""


@pytest.mark.parametrize(
    "line",
    [("cron_run", "--once"), ("cron_worker", "--burst"), ("cron_trigger", NEWS),
     ("cron_rerun", RUN), ("cron_reconcile",), ("cron_backfill", NEWS, "--from", "2026-03-02")],
    ids=lambda line: line[0],
)  # fmt: skip
def test_a_project_without_queues_is_told_of_the_setting(
    log: None, settings: Any, line: tuple[str, ...]
) -> None:
    del settings.RQ_QUEUES
    with pytest.raises(CommandError, match=r"^RQ_QUEUES is not set.* Set RQ_QUEUES = \{'default'"):
        printed_or_raised(*line)


def printed_or_raised(*line: str) -> None:
    call_command(*line, stdout=io.StringIO(), stderr=io.StringIO())
