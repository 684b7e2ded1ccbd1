"""What a cron and its runs were at an instant, out of the log."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rqcron_projections import projector
from rqcron_projections.models import CronJob, CronRun
from rqcron_projections.past.crons import state_at
from rqcron_projections.past.runs import runs_at
from rqcron_projections.tables import row_values

from rqcron_events.models import CronEvent

from .histories import append, history

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)


def printed(*arguments: str) -> str:
    out = io.StringIO()
    call_command(*arguments, "--format", "json", stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("seed", [7, 11, 42])
def test_the_past_of_one_cron_is_what_its_rows_were_then(seed: int) -> None:
    events = history(seed, 300)
    middle = 200
    append(events[:middle])
    projector.catch_up()
    then = {row.name: row_values(row) for row in CronJob.objects.all() if not row.paused_until}
    runs = {name: [*map(row_values, CronRun.objects.filter(cron=name))] for name in then}
    append(events[middle:])
    projector.catch_up()

    at = events[middle - 1].occurred_at
    assert any(runs.values())
    for name, row in then.items():
        assert [row_values(past) for past in state_at(at, [name])] == [row]
        assert [row_values(past) for past in runs_at(name, at, limit=1000)] == runs[name]
        newest = runs_at(name, at, limit=3)
        assert [row_values(past) for past in newest] == runs[name][:3]
        failed = [past for past in runs[name] if past["status"] == "failed"]
        assert [*map(row_values, runs_at(name, at, limit=2, status="failed"))] == failed[:2]


def test_nothing_of_other_crons_is_read() -> None:
    events = history(7, 300)
    append(events)
    projector.catch_up()
    name = CronRun.objects.first().cron
    with CaptureQueriesContext(
        connection,
    ) as queries:
        runs_at(name, events[-1].occurred_at, limit=5)
        state_at(events[-1].occurred_at, [name])
    ids, of_runs, *_, of_cron = (query["sql"] for query in queries)
    # One more where this process asks for accepted events anew, and where rows were kept on the way.
    assert len(queries) <= 8
    assert f"'{name}'" in ids
    assert '"run_id" IN' in of_runs
    assert f"\"cron\" IN ('{name}')" in of_cron


def facts(row: dict[str, Any]) -> dict[str, Any]:
    """Without what a pause of everything, which is no state of the cron's own, makes of it in a list."""
    return {
        key: value
        for key, value in row.items()
        if not key.startswith("pause") and key not in ("attention", "status", "next_slot")
    }


def test_the_commands_show_the_past() -> None:
    events = history(7, 300)
    append(events)
    name = next(event.cron for event in events if event.type == "slot_fired")
    first = CronEvent.objects.for_cron(name).of_type("slot_fired").first()
    at = first.occurred_at.isoformat()
    (run,) = json.loads(printed("cron_history", name, "--at", at))
    assert (run["run_id"], run["status"]) == (str(first.run_id), "requested")
    (row,) = json.loads(printed("cron_list", name, "--at", at))
    assert (row["name"], row["fired_count"]) == (name, 1)
    everybody = json.loads(printed("cron_list", "--at", at))
    assert [item for item in everybody if item["name"] == name] == [row]
    replayed = json.loads(printed("cron_replay", "--at", at))
    assert [facts(item) for item in everybody] == [facts(item) for item in replayed]
    before = (events[0].occurred_at - SECOND).isoformat()
    out = io.StringIO()
    call_command("cron_list", "--at", before, stdout=out)
    call_command("cron_history", name, "--at", before, stdout=out)
    assert "No cron was registered by then." in out.getvalue()
    assert f"No matching runs of cron '{name}' by then." in out.getvalue()


def test_a_list_of_named_crons_has_these_only() -> None:
    append(history(7, 300))
    projector.catch_up()
    first, second, *_ = CronJob.objects.values_list("name", flat=True)
    assert [row["name"] for row in json.loads(printed("cron_list", second, first))] == [
        first,
        second,
    ]
    with pytest.raises(CommandError, match="No cron is named 'cron_x'"):
        printed("cron_list", first, "cron_x")
