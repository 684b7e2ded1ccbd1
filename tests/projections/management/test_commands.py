"""What the commands print, for people and for programs."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command
from rqcron_projections.management import freshness
from rqcron_projections.models import CronDay, CronJob, CronRun

from rqcron_events.cli.times import parse_instant, parse_range, zone_of
from rqcron_events.errors import CronConfigError, LedgerUnavailable
from rqcron_events.models import CronEvent, CronText
from rqcron_events.testing import FakeClock
from tests.projections.histories import History, append

pytestmark = pytest.mark.django_db


def printed(*arguments: str) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def cron() -> str:
    written = History(seed=99, crons=1)
    (name,) = written.names
    written.define(name)
    for _ in range(5):
        written.fire(name)
    while written.open:
        written.advance(name)
    append(written.events)
    return name


def test_the_list_is_current_and_has_no_escape_codes(
    cron: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "160")
    text = printed("cron_list")
    assert "\x1b" not in text
    row = CronJob.objects.get()
    heading, _, line, *_ = text.splitlines()
    assert heading.split()[:3] == ["name", "status", "next"]
    assert line.split()[:2] == [cron, row.status]
    assert row.schedule in line


def test_the_list_as_json_has_all_fields_and_times_in_utc(cron: str) -> None:
    (row,) = json.loads(printed("cron_list", "--format", "json"))
    assert set(row) == {field.name for field in CronJob._meta.concrete_fields} | {
        "attention",
        "renamed_from",
    }
    assert row["fired_count"] == 5
    assert row["next_slot"].endswith("+00:00")
    assert row["definition"]["name"] == cron


def test_the_list_says_when_all_crons_are_paused(cron: str) -> None:
    now = CronEvent.objects.order_by("id").last().occurred_at
    for version, kind, minute in ((1, "all_paused", 1), (2, "all_resumed", 9)):
        CronEvent(
            stream="ledger",
            version=version,
            type=kind,
            actor="eve",
            reason="freeze",
            occurred_at=now + timedelta(minutes=minute),
        ).save()
    told = {}
    for minute in (0, 5, 10):
        err = io.StringIO()
        with FakeClock(now + timedelta(minutes=minute)):
            call_command("cron_list", stdout=io.StringIO(), stderr=err)
        told[minute] = err.getvalue()
    assert "paused" not in told[0] + told[10]
    assert told[5].startswith("All crons are paused by eve since ")
    assert "(freeze): slots are skipped" in told[5]
    err = io.StringIO()
    at = (now + timedelta(minutes=5)).isoformat()
    with FakeClock(now + timedelta(hours=1)):
        call_command("cron_list", "--at", at, stdout=io.StringIO(), stderr=err)
    assert "paused by eve" in err.getvalue()


def test_the_list_of_nothing_says_what_to_do() -> None:
    assert printed("cron_list").startswith("No cron is registered yet.")
    assert json.loads(printed("cron_list", "--format", "json")) == []
    assert printed("cron_list", "--format", "csv").startswith("name,status,")


def test_the_history_is_newest_first_and_bounded(cron: str) -> None:
    rows = json.loads(printed("cron_history", cron, "--format", "json", "--limit", "3"))
    slots = [row["slot"] for row in rows]
    assert len(slots) == 3
    assert slots == sorted(slots, reverse=True)


def test_the_history_shows_times_in_the_zone_of_the_cron(cron: str) -> None:
    printed("cron_list")
    CronJob.objects.update(timezone="Asia/Kathmandu")
    assert "+0545" in printed("cron_history", cron)


def test_the_history_of_one_status_as_csv(cron: str) -> None:
    printed("cron_list")
    status = CronRun.objects.first().status
    rows = list(
        csv.DictReader(
            io.StringIO(printed("cron_history", cron, "--status", status, "--format", "csv"))
        )
    )
    assert {row["status"] for row in rows} == {status}
    assert len(rows) == CronRun.objects.filter(status=status).count()


def test_a_csv_without_rows_has_the_same_head(cron: str) -> None:
    whole = printed("cron_history", cron, "--format", "csv")
    none = printed("cron_history", cron, "--status", "stopped", "--at", "2001-01-01T00:00Z",
                   "--format", "csv")  # fmt: skip
    assert none == whole.splitlines()[0] + "\n"


def test_the_table_says_why_a_run_ended_in_one_bounded_line(cron: str) -> None:
    printed("cron_list")
    CronText.objects.create(
        event_id=7, field="error.message", salt="00", text="no\nsite " + "x" * 80
    )
    CronRun.objects.filter(cron=cron).update(
        outcome_reason="exception", error_type="ValueError", error_event=7
    )
    line = printed("cron_history", cron, "--limit", "1").splitlines()[-1]
    assert "exception: ValueError: no site xxx" in line
    assert "x…  " in line


def test_an_unknown_cron_is_answered_with_the_closest(cron: str) -> None:
    with pytest.raises(CommandError, match=f"No cron is named '{cron}x'. Did you mean '{cron}'?"):
        printed("cron_history", cron + "x")
    with pytest.raises(CommandError, match="cron_list shows all"):
        printed("cron_history", "zzz")
    with pytest.raises(CommandError, match="--limit 0 is invalid"):
        printed("cron_history", cron, "--limit", "0")


def test_a_replay_tells_what_it_rebuilt(cron: str) -> None:
    events = CronEvent.objects.count()
    (row,) = json.loads(printed("cron_replay", "--projection", "runs", "--format", "json"))
    assert (row["projection"], row["events"], row["rows"]) == ("runs", events, 5)
    assert "runs" in printed("cron_replay", "--by", "ada")
    assert CronEvent.objects.of_type("projection_rebuilt").filter(actor="ada").count() == 4


def test_a_check_that_finds_something_fails_and_lists_it(cron: str) -> None:
    assert "match the log" in printed("cron_replay", "--check")
    CronRun.objects.filter(pk=CronRun.objects.first().pk).update(worker="nobody")
    out = io.StringIO()
    with pytest.raises(CommandError, match="1 rows differ"):
        call_command("cron_replay", "--check", "--format", "json", stdout=out)
    (difference,) = json.loads(out.getvalue())
    assert difference["problem"] == "different"
    assert difference["columns"]["worker"][0] == "nobody"


def test_the_table_of_a_check_is_readable_and_json_has_everything(cron: str) -> None:
    printed("cron_list")
    CronDay.objects.update(duration_buckets="12345" * 4_000, fired=77)
    CronRun.objects.update(worker="w" * 200, error_type="two\nlines " * 200)
    CronRun.objects.filter(pk=CronRun.objects.last().pk).delete()
    out = io.StringIO()
    with pytest.raises(CommandError, match="rows differ"):
        call_command("cron_replay", "--check", stdout=out)
    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= 160
    assert re.search(r"fired 77, should be \d", text)
    assert "duration_buckets differs" in text
    assert re.search(r"different +worker w{19}\u2026, should be ", text)
    assert re.search(r"missing +-$", text, re.MULTILINE)
    out = io.StringIO()
    with pytest.raises(CommandError, match="rows differ"):
        call_command("cron_replay", "--check", "--format", "json", stdout=out)
    columns = [row["columns"] for row in json.loads(out.getvalue())]
    assert any(found.get("duration_buckets", [""])[0] == "12345" * 4_000 for found in columns)


def test_the_past_is_shown_as_of_an_instant(cron: str) -> None:
    third = CronEvent.objects.of_type("slot_fired").order_by("id")[2]
    (row,) = json.loads(
        printed("cron_replay", "--at", third.occurred_at.isoformat(), "--format", "json")
    )
    assert row["fired_count"] == 3
    early = (third.occurred_at - timedelta(days=400)).isoformat()
    assert "No cron was registered by then." in printed("cron_replay", "--at", early)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "--at '' is not an instant"),
        ("soon", "--at 'soon' is not an instant"),
        ("0001-01-01T00:00:00+14:00", "is not an instant"),
    ],
)
def test_a_bad_instant_is_named_with_the_remedy(text: str, said: str) -> None:
    with pytest.raises(CommandError, match=said):
        printed("cron_replay", "--at", text)


@pytest.mark.parametrize("command", ["cron_list", "cron_history", "cron_replay"])
def test_the_future_is_refused_and_not_shown_as_if_it_were_now(cron: str, command: str) -> None:
    name = (cron,) if command == "cron_history" else ()
    with pytest.raises(CommandError, match=r"--at 'in 3 days' is in the future \(20.*past"):
        printed(command, *name, "--at", "in 3 days")
    printed(command, *name, "--at", "now")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("cron_explain", "{cron}", "--at", ""), "--at '' is not an instant"),
        (("cron_history", "{cron}", "--at", ""), "--at '' is not an instant"),
        (("cron_list", "--at", ""), "--at '' is not an instant"),
        (("cron_audit", "--since", ""), "--since '' is not an instant"),
        (("cron_events", "--until", ""), "--until '' is not an instant"),
        (("cron_events", "--run", ""), "Run '' is not an id"),
        (
            ("cron_pause", "{cron}", "--until", "2026-03-01 09:00"),
            r"--until '2026-03-01 09:00' is in the past \(2026-03-01 09:00:00 \S+\)\. Give a later",
        ),
        (("cron_events", "--since", "now", "--until", "yesterday"), "The range is empty"),
        (("cron_events", "--cron", "{cron}x"), "No cron is named '{cron}x'.*mean '{cron}'"),
    ],
)
def test_a_mistake_is_said_and_not_answered_with_nothing(
    cron: str, arguments: tuple[str, ...], said: str
) -> None:
    with pytest.raises(CommandError, match=said.format(cron=cron)):
        printed(*(argument.format(cron=cron) for argument in arguments))


def test_a_list_that_cannot_be_brought_up_to_date_is_still_shown(
    cron: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed("cron_list")

    def fail() -> None:
        raise LedgerUnavailable("There is no fence. Wait for it.")

    monkeypatch.setattr(freshness, "catch_up", fail)
    out, err = io.StringIO(), io.StringIO()
    call_command("cron_list", stdout=out, stderr=err)
    assert cron in out.getvalue()
    assert "not up to date: There is no fence. Wait for it. What follows" in err.getvalue()


def test_words_are_read_in_the_zone_of_the_cron_that_is_named() -> None:
    now = datetime(2026, 3, 11, 12, 0, tzinfo=UTC)
    written = History(seed=7, crons=1)
    (name,) = written.names
    written.define(name)
    append(written.events)
    zone = CronEvent.objects.get(type="cron_registered").data["definition"].get("timezone", "UTC")
    with FakeClock(now):
        assert parse_instant("today 9am", "--at", cron=name) == datetime(
            2026, 3, 11, 9, tzinfo=ZoneInfo(zone)
        )
        assert parse_instant("today 9am", "--at").hour == 9  # TIME_ZONE
        midnight = datetime(2026, 3, 1, tzinfo=ZoneInfo(zone))
        assert parse_instant("2026-03-01", "--at", cron=name) == midnight
        with pytest.raises(CronConfigError, match="--at '9' is not an instant"):
            parse_instant("9", "--at", cron=name)


@pytest.mark.parametrize(
    ("command", "since", "until", "told"),
    [
        # 12:00 in Berlin: what ends at a time that is yet to come does not end yesterday.
        ("cron_events", "09:00", "17:00", None),
        ("cron_audit", "09:00", "17:00", None),
        ("cron_report", "09:00", "17:00", None),
        ("cron_backfill", "09:00", "17:00", r"2026-03-11T16:00:00\+00:00 is in the future"),
        ("cron_backfill", "09:00", "yesterday 17:00", "The range is empty"),
        ("cron_events", "1h", "2h", "The range is empty"),
        ("cron_audit", "2026-03-11 09:00", "2026-03-10 17:00", "The range is empty"),
    ],
)
def test_an_end_without_a_day_is_after_its_beginning(
    settings: Any, command: str, since: str, until: str, told: str | None
) -> None:
    settings.TIME_ZONE = "Europe/Berlin"
    written = History(seed=7, crons=1)
    written.define(written.names[0])
    for event in written.events:
        event.data["definition"]["timezone"] = "Europe/Berlin"
    append(written.events)
    line = [command, "--since", since, "--until", until]
    if command == "cron_backfill":
        line = [command, written.names[0], "--from", since, "--to", until]
    with FakeClock(datetime(2026, 3, 11, 11, 0, tzinfo=UTC)):
        if told is None:
            printed(*line)
            assert parse_range(since, until) == (
                datetime(2026, 3, 11, 8, tzinfo=UTC),
                datetime(2026, 3, 11, 16, tzinfo=UTC),
            )
        else:
            with pytest.raises(CommandError, match=told):
                printed(*line)


def test_a_time_without_a_zone_is_read_in_that_of_the_cron_or_of_the_project(
    settings: Any, cron: str
) -> None:
    settings.TIME_ZONE = "Europe/Berlin"
    found = parse_instant("2026-03-01 12:00", "--at")
    assert found == datetime(2026, 3, 1, 11, tzinfo=UTC)
    own = datetime(2026, 3, 1, 12, tzinfo=zone_of(cron))
    assert parse_instant("2026-03-01T12:00", "--at", cron=cron) == own
    answer = json.loads(
        printed("cron_explain", cron, "--at", "2026-03-01 12:00", "--format", "json")
    )
    assert datetime.fromisoformat(answer["at"]) == own
