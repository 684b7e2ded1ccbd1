"""What an audit's answer adds up to, and how it words a gap in a stream."""

from __future__ import annotations

import json

import pytest

from rqcron_events.core.audit.findings import (
    Audit,
    CronAudit,
    Totals,
    Wrong,
    missing_versions,
    version_gap,
)
from tests.unit.history import at

NOON = at("12:00")
GAP = missing_versions("cron/x", 3, 3)


@pytest.mark.parametrize(
    ("first", "last", "text"),
    [
        (3, 3, "version 3 is missing in cron/x"),
        (3, 5, "versions 3 to 5 are missing in cron/x"),
    ],
)
def test_missing_versions_are_named(first, last, text):
    found = missing_versions("cron/x", first, last)
    assert (found.kind, found.text, found.version) == (Wrong.VERSION_GAP, text, first)


@pytest.mark.parametrize(
    ("events", "version", "text"),
    [
        (3, 3, None),
        (2, 4, "2 events of run/x missing: its last version is 4, and it has 2"),
        (3, 4, "1 event of run/x missing: its last version is 4, and it has 3"),
    ],
)
def test_a_stream_has_as_many_events_as_its_last_version_says(events, version, text):
    found = version_gap("run/x", events, version)
    assert (found.text if found else None) == text


@pytest.mark.parametrize(
    ("cron", "ok"),
    [
        (CronAudit(cron="a", totals=Totals(expected=3, fired=3)), True),
        (CronAudit(cron="a", totals=Totals(expected=3, fired=2, pending=1, open_runs=2)), True),
        (CronAudit(cron="a", totals=Totals(expected=3, fired=2, unaccounted=1)), False),
        (CronAudit(cron="a", totals=Totals(findings=1), findings=(GAP,)), False),
    ],
)
def test_only_a_slot_that_nobody_decided_or_a_finding_is_not_ok(cron, ok):
    assert cron.ok is ok
    assert Audit(at=NOON, crons=(cron,)).ok is ok


def test_the_totals_are_those_of_all_crons_and_of_the_streams_of_none():
    crons = (
        CronAudit(cron="a", totals=Totals(expected=3, fired=2, skipped=1)),
        CronAudit(cron="b", totals=Totals(expected=4, fired=4, findings=1), findings=(GAP,)),
    )
    found = Audit(at=NOON, crons=crons, findings=(GAP, GAP))
    assert found.totals == Totals(expected=7, fired=6, skipped=1, findings=3)
    assert not Audit(at=NOON, findings=(GAP,)).ok


def test_the_answer_is_json_and_says_how_much_of_it_is_left_out():
    cron = CronAudit(
        cron="a",
        totals=Totals(unaccounted=1_500, findings=2),
        unaccounted=(NOON,),
        findings=(GAP,),
    )
    data = json.loads(json.dumps(Audit(at=NOON, crons=(cron,)).to_data()))
    (told,) = data["crons"]
    assert (told["unaccounted"], told["unaccounted_more"]) == (["2026-03-02T12:00:00+00:00"], 1_499)
    assert (len(told["findings"]), told["findings_more"]) == (1, 1)
    assert data["ok"] is False
