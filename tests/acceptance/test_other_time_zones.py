"""The tz database changes under a log: a zone is gone, another one has new rules."""

from __future__ import annotations

import json
import zoneinfo
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path

import pytest

from rqcron_events.core.definition import run_id_for_slot
from rqcron_events.core.events import Event, EventType, cron_stream, run_stream, runner_stream
from rqcron_events.leadership.slot_rules import croniter_version
from rqcron_events.ledger import store
from rqcron_events.testing import FakeClock

DAYS = 5
FIRST = datetime(2026, 3, 3, 8, 0, tzinfo=UTC)
"""09:00 where clocks are an hour ahead, as they were in Test/Moved."""
DAY = timedelta(days=1)


@pytest.fixture
def zones(tmp_path: Path) -> Path:
    """Today's tz database: Test/Moved is five hours ahead now, and Test/Gone is gone."""
    (tmp_path / "zones" / "Test").mkdir(parents=True)
    (tmp_path / "zones" / "UTC").write_bytes(_zone_file("UTC"))
    (tmp_path / "zones" / "Test" / "Moved").write_bytes(_zone_file("Etc/GMT-5"))
    (tmp_path / "zones" / "tzdata.zi").write_text("# version 2199z\n")
    return tmp_path / "zones"


def _zone_file(name: str) -> bytes:
    for place in zoneinfo.TZPATH:
        if Path(place, name).is_file():
            return Path(place, name).read_bytes()
    return resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()


@pytest.fixture
def log(project, zones):
    """Five days that were decided by the rules of before, and what today's machine has."""
    project.environment |= {"PYTHONTZPATH": str(zones)}
    with FakeClock(FIRST + DAYS * DAY):
        store.append(
            [
                Event(
                    stream=runner_stream("old"),
                    version=1,
                    type=EventType.RUNNER_STARTED,
                    actor="runner/old",
                    occurred_at=FIRST - DAY,
                    data={"tzdata": "2020a", "croniter": croniter_version()},
                )
            ]
        )
        for name, zone in (("moved", "Test/Moved"), ("gone", "Test/Gone"), ("other", "UTC")):
            store.append(_decided(name, zone))
    return project


def _decided(name: str, zone: str) -> list[Event]:
    hour = 8 if zone == "UTC" else 9
    definition = {"name": name, "function": "shop:f", "expression": f"0 {hour} * * *"}
    if zone != "UTC":
        definition["timezone"] = zone
    events = [
        Event(
            stream=cron_stream(name),
            version=1,
            type=EventType.CRON_REGISTERED,
            cron=name,
            occurred_at=FIRST - timedelta(hours=1),
            data={"definition": definition, "definition_version": 1},
        )
    ]
    for number in range(DAYS):
        slot = FIRST + number * DAY
        run = run_id_for_slot(name, slot)
        place = {"cron": name, "scheduled_for": slot, "run_id": run, "occurred_at": slot}
        events.append(
            Event(
                stream=cron_stream(name),
                version=2 + number,
                type=EventType.SLOT_FIRED,
                actor="runner/old",
                data={"definition_version": 1, "lateness_seconds": 0.0},
                **place,
            )
        )
        ends = (EventType.RUN_ENQUEUED, EventType.RUN_STARTED, EventType.RUN_SUCCEEDED)
        events += [
            Event(
                stream=run_stream(run),
                version=1 + at,
                type=kind,
                data={"queue": "default"},
                **place,
            )
            for at, kind in enumerate(ends)
        ]
    return events


def test_the_past_is_told_as_the_log_has_it_and_other_crons_go_on(log):
    audit = log.run("cron_audit", "--until", (FIRST + DAYS * DAY).isoformat(), "--format", "json")
    crons = {cron["cron"]: cron for cron in json.loads(audit.stdout)["crons"]}
    assert {name: cron["fired"] for name, cron in crons.items()} == {
        "moved": DAYS, "gone": DAYS, "other": DAYS,
    }  # fmt: skip
    assert all(cron["unaccounted"] == [] for cron in crons.values())
    assert crons["moved"]["findings"] == []
    assert crons["other"]["findings"] == crons["other"]["notes"] == []
    [moved] = crons["moved"]["notes"]
    assert "tzdata 2020a" in moved
    assert "today tzdata 2199z" in moved
    [gone] = crons["gone"]["notes"]
    assert "timezone 'Test/Gone' is invalid" in gone
    assert [found["kind"] for found in crons["gone"]["findings"]] == ["unreadable"]

    slot = (FIRST + DAY).isoformat()
    told = log.run("cron_explain", "gone", "--at", slot)
    assert told.stdout.startswith("FIRED: gone fired for 2026-03-04 08:00:00 UTC")
    assert "(version 1) cannot be read today (timezone 'Test/Gone' is invalid" in told.stdout
    told = log.run("cron_explain", "moved", "--at", slot)
    assert told.stdout.startswith("FIRED: moved fired for 2026-03-04 13:00:00")
    told = log.run("cron_explain", "gone", "--at", (FIRST + DAY / 2).isoformat())
    assert told.stdout.startswith("NOT A SLOT: gone was not decided at 2026-03-03 20:00:00 UTC")
    told = log.run("cron_explain", "gone", "--at", "2199-01-01T00:00Z")
    assert told.stdout.startswith("PENDING: Nobody can tell whether gone is due at")
    assert log.run("cron_explain", "gone").returncode == 0

    listed = json.loads(log.run("cron_list", "--format", "json").stdout)
    assert {row["name"] for row in listed} == {"moved", "gone", "other"}
    assert log.run("cron_report", "--since", "2026-03-01", "--until", "2026-03-10").returncode == 0
    assert "cron_explain" not in log.run("cron_history", "gone").stdout

    refused = log.run("cron_backfill", "gone", "--from", slot, "--dry-run")
    assert refused.returncode == 1
    assert "cannot be computed, because a definition that was in force then" in refused.stderr
    assert "Traceback" not in refused.stderr
    planned = log.run("cron_backfill", "other", "--from", slot, "--to", "2026-03-06", "--dry-run")
    assert "2 slots: 2 left out, a run for them succeeded" in planned.stdout

    health = json.loads(log.run("cron_health", "--format", "json").stdout)
    assert any(
        "'gone' cannot be decided: timezone 'Test/Gone'" in text for text in health["problems"]
    )


def test_a_slot_that_was_left_out_is_unaccounted_where_the_rules_were_todays(log, zones):
    """The note is no excuse for a gap: with the rules of then in force, the audit finds it."""
    (zones / "tzdata.zi").write_text("# version 2020a\n")
    audit = log.run("cron_audit", "moved", "--until", (FIRST + DAYS * DAY).isoformat())
    assert audit.returncode == 1
    assert "WRONG moved: " in audit.stdout
    assert "NOTE" not in audit.stdout
