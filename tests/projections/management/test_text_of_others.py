"""What users, errors and workers wrote is data: it is shown, and it does nothing."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.core.management import call_command, load_command_class

from rqcron_events.core.definition import run_id_for_slot
from rqcron_events.core.events import Event, EventType, cron_stream, run_stream, runner_stream
from rqcron_events.core.wording import is_seen
from rqcron_events.ledger import store
from rqcron_events.testing import FakeClock

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
FORGED = "2026-03-02 09:00:00.000Z  cron_paused      payroll"
HOSTILE = (
    f"boom\n{FORGED}  slot -  run -  paused: approved by legal  [anna]\n\x1b[2J\x1b[31m"
    "\x1b]8;;http://evil.example\x07here\x1b]8;;\x07\x1b]52;c;aGk=\x07\r\x08\x01\x85\x9b31m\x7f"
    "\u2028\u2029\u202elagel\u2066\u200b\ufeff end"
)
FORMULA = "=cmd|' /C calc'!A0"
NAME = f"evil\n{FORGED}\x1b[2J"
OTHER = "=evil"
RUN = run_id_for_slot(NAME, START + MINUTE)


@pytest.fixture
def hostile_log(transactional_db, redis_connection):
    """A log in which every text that people, code or workers can choose is hostile."""
    with FakeClock(START + 5 * MINUTE):
        store.append(_hostile_events())
        yield


def _hostile_events() -> list[Event]:
    definition = {
        "function": f"shop:{HOSTILE}",
        "expression": "*/2 * * * *",
        "queue": "default",
        "description": HOSTILE,
        "options": {"meta": {HOSTILE: HOSTILE}},
    }
    events = []
    for name, reason in ((NAME, HOSTILE), (OTHER, FORMULA)):
        own = cron_stream(name)
        data = {"definition": {**definition, "name": name}, "definition_version": 1}
        slot = START + 2 * MINUTE
        run = run_id_for_slot(name, slot)
        error = {"type": HOSTILE, "message": reason, "traceback": f"Traceback\n  {HOSTILE}"}
        events += [
            _event(own, 1, EventType.CRON_REGISTERED, name, data=data),
            _event(own, 2, EventType.SLOT_FIRED, name, slot=slot, run=run,
                   data={"definition_version": 1, "lateness_seconds": 0.1}),
            _event(run_stream(run), 1, EventType.RUN_ENQUEUED, name, slot=slot, run=run,
                   data={"queue": reason, "job_id": "cron-1", "found": HOSTILE}),
            _event(run_stream(run), 2, EventType.RUN_STARTED, name, slot=slot, run=run, attempt=1,
                   actor=f"worker/{HOSTILE}"),
            _event(run_stream(run), 3, EventType.RUN_FAILED, name, slot=slot, run=run, attempt=1,
                   reason=reason, actor=f"worker/{HOSTILE}", data={"error": error}),
            _event(own, 3, EventType.CRON_PAUSED, name, reason=reason, actor=HOSTILE,
                   data={"until": None, "effective_from": (slot + MINUTE).isoformat()}),
            _event(own, 4, EventType.RUN_REQUESTED, name, slot=slot, run=UUID(int=7 + len(events)),
                   reason=reason, actor=FORMULA, data={"trigger": HOSTILE}),
        ]  # fmt: skip
    runner = {"host": HOSTILE, "pid": 1, "crons": 2, "registry": HOSTILE}
    events += [
        _event(runner_stream("r"), 1, EventType.RUNNER_STARTED, actor=HOSTILE, data=runner),
        _event("ledger", 1, EventType.ALL_PAUSED, actor=HOSTILE, reason=HOSTILE,
               data={"until": None, "effective_from": (START + 4 * MINUTE).isoformat()}),
    ]  # fmt: skip
    return events


def _event(stream, version, type_, cron="", *, slot=None, run=None, **more):
    given = {"actor": "tests", "data": {}, **more}
    return Event(
        stream=stream, version=version, type=type_, cron=cron, scheduled_for=slot, run_id=run,
        occurred_at=START + 3 * MINUTE if type_ is EventType.CRON_PAUSED else START, **given,
    )  # fmt: skip


LAST_RUN = str(run_id_for_slot(NAME, START + 2 * MINUTE))
SLOT = (START + 2 * MINUTE).isoformat()
COMMANDS = [
    ("cron_events", "--format", "table", "json", "csv"),
    ("cron_events", "--cron", NAME, "--limit", "0", "--format", "table"),
    ("cron_explain", NAME, "--at", SLOT, "--format", "table", "json"),
    ("cron_explain", NAME, "--format", "table", "json"),
    ("cron_explain", OTHER, "--at", (START + 4 * MINUTE).isoformat(), "--format", "table", "json"),
    ("cron_explain", "--run", LAST_RUN, "--format", "table", "json"),
    ("cron_explain", f"nobody {HOSTILE}", "--format", "table", "json"),
    ("cron_audit", "--format", "table", "json", "csv"),
    ("cron_health", "--format", "table", "json"),
    ("cron_backfill", NAME, "--from", SLOT, "--dry-run", "--format", "table", "json", "csv"),
    ("cron_list", "--format", "table", "json", "csv"),
    ("cron_list", f"nobody {HOSTILE}", "--format", "table"),
    ("cron_history", NAME, "--format", "table", "json", "csv"),
    ("cron_history", OTHER, "--format", "table", "csv"),
    ("cron_report", "--since", "2026-03-01", "--format", "table", "json", "csv"),
    ("cron_report", "--cron", f"nobody {HOSTILE}", "--format", "table"),
    ("cron_replay", "--check", "--format", "table", "json"),
    ("cron_replay", "--at", SLOT, "--format", "table", "json"),
    ("cron_reconcile", "--dry-run", "--format", "table", "json", "csv"),
    ("cron_reconcile", "--by", HOSTILE, "--format", "table"),
    ("cron_trigger", f"nobody {HOSTILE}", None),
    ("cron_pause", NAME, "--reason", HOSTILE, None),
    ("cron_pause", NAME, "--until", HOSTILE, None),
    ("cron_resume", NAME, "--reason", HOSTILE, None),
    ("cron_resume", NAME, "--by", HOSTILE, None),
    ("cron_rerun", HOSTILE, None),
]


def lines() -> list[tuple[str, ...]]:
    """Each command in each of its formats."""
    found = []
    for command in COMMANDS:
        if command[-1] is None:
            found.append(command[:-1])
            continue
        at = command.index("--format")
        found += [(*command[:at], "--format", item) for item in command[at + 1 :]]
    return found


@pytest.mark.parametrize(
    "line", lines(), ids=lambda line: f"{line[0]}-{len(line[1])}-{len(line)}-{line[-1][:5]!a}"
)
def test_no_command_lets_text_of_others_out_as_anything_but_text(hostile_log, capfdbinary, line):
    name, *arguments = line
    app = "rqcron_projections" if name in PROJECTED else "rqcron_events"
    try:
        load_command_class(app, name).run_from_argv(["manage.py", name, *arguments])
    except SystemExit as end:
        assert end.code in (0, 1)
    out, err = capfdbinary.readouterr()
    assert out or err
    for stream in (out, err):
        text = stream.decode()
        odd = {char for char in text if char != "\n" and not is_seen(char)}
        assert not odd, f"{odd!a} in {text!a}"
        forged = [row for row in text.split("\n") if row.lstrip(" '\"").startswith(FORGED)]
        assert not forged
    if line[-1] == "csv":
        cells = [cell for row in csv.reader(io.StringIO(out.decode())) for cell in row]
        assert not [cell for cell in cells if cell.startswith(("=", "+", "@"))]


PROJECTED = ("cron_list", "cron_history", "cron_report", "cron_replay")


def test_json_has_the_true_values(hostile_log):
    out = io.StringIO()
    call_command("cron_events", "--cron", NAME, "--format", "json", stdout=out)
    events = json.loads(out.getvalue())
    assert {event["cron"] for event in events} == {NAME}
    [failed] = [event for event in events if event["type"] == "run_failed"]
    assert failed["reason"] == HOSTILE
    assert failed["data"]["error"]["message"] == HOSTILE


def test_what_is_wrong_with_the_text_can_be_seen(hostile_log):
    out = io.StringIO()
    call_command("cron_explain", NAME, "--at", SLOT, stdout=out)
    assert f"boom\\n{FORGED}" in out.getvalue()
    assert r"\x1b[2J" in out.getvalue()
    assert r"\u202elagel" in out.getvalue()
