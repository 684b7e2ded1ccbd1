"""The snapshot is a cache: damage is noticed, said once, and the log is folded instead."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import Any

import pytest

from rqcron_events.core.audit.findings import Wrong
from rqcron_events.ledger import snapshot
from rqcron_events.ledger.cron_states import States
from rqcron_events.models import CronSnapshot
from rqcron_events.queries.audit import audit
from rqcron_events.queries.health import health

MINUTE = timedelta(minutes=1)
FUTURE = "2036-01-01T00:00:00+00:00"


def rewrite(name: str = "report", **changes: Any) -> None:
    row = CronSnapshot.objects.get(name=name)
    row.state = {**row.state, **changes}
    row.save()


DAMAGE: dict[str, Any] = {
    "a watermark in the future": lambda: rewrite(watermark=FUTURE),
    "no phases": lambda: rewrite(phases=[]),
    "a list": lambda: CronSnapshot.objects.filter(name="report").update(state=[1]),
    "another position of a row": lambda: CronSnapshot.objects.filter(name="report").update(
        position=7
    ),
    "another position of the head": lambda: CronSnapshot.objects.filter(name="").update(position=7),
    "a head that is a list": lambda: CronSnapshot.objects.filter(name="").update(state=[]),
    "a row too many": lambda: CronSnapshot.objects.create(name="other", position=1, state={}),
    "a row too few": lambda: CronSnapshot.objects.filter(name="report").delete(),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_snapshot_is_not_used_and_that_is_said(deploy, add, clock, caplog, what):
    caplog.set_level(logging.WARNING)
    add(
        "report",
        schedule="* * * * *",
        jitter=timedelta(seconds=0.25),
        meta={"rate": 1e16, "none": -0.0},
    )
    runner = deploy()
    clock.advance(MINUTE)
    runner.tick()
    runner.stop()
    intact = States.load().crons["report"]
    assert not caplog.records
    DAMAGE[what]()
    assert States.load().crons["report"] == intact
    assert [record.action for record in caplog.records] == ["snapshot_refused"]
    clock.advance(MINUTE)
    again = deploy()
    again.stop()
    caplog.clear()
    States.load()
    assert not caplog.records


def test_a_snapshot_that_lies_with_the_right_checksum_is_found_by_the_audit(deploy, add, clock):
    add("report", schedule="* * * * *")
    runner = deploy()
    clock.advance(MINUTE)
    runner.tick()
    runner.stop()
    assert audit().ok
    rewrite(watermark=FUTURE)
    rows = CronSnapshot.objects.exclude(name="")
    head = CronSnapshot.objects.get(name="")
    digests = {row.name: snapshot._digest(row.name, row.position, row.state) for row in rows}
    head.state = snapshot._head(digests, head.position, 0, head.state["marks"])
    head.save()
    lying = deploy()
    clock.advance(timedelta(minutes=30))
    lying.tick()
    found = audit("report")
    kinds = {finding.kind for finding in found.crons[0].findings}
    assert kinds == {Wrong.SNAPSHOT_DIFFERS, Wrong.OVERDUE}
    assert any("'report' has been due for" in problem for problem in health().problems)


def test_many_open_runs_are_encoded_a_few_at_a_time() -> None:
    """What Python encodes at one go, other threads stand still for."""
    given: list[Any] = []

    def encode(value: Any) -> str:
        given.append(value)
        return json.dumps(value)

    runs = [{"run_id": number, "words": ['"', {"a": [number]}]} for number in range(1_001)]
    state = {"version": 1, "phases": [], "open_runs": runs, "early_runs": runs[:200]}
    assert json.loads(snapshot._in_pieces(state, encode)) == state
    assert max(len(value) for value in given if isinstance(value, list)) == snapshot.PIECE_ITEMS
    assert json.loads(snapshot._in_pieces([1, state], json.dumps)) == [1, state]
    assert snapshot._in_pieces(state, snapshot._canonical) == snapshot._canonical(state)
    given.clear()
    few = {**state, "open_runs": runs[:5]}
    snapshot._in_pieces(few, encode)
    assert given == [few], "one call, because a cron has few open runs nearly always"
    assert snapshot._digest("a", 1, state) == snapshot._digest(
        "a", 1, json.loads(json.dumps(state))
    )
    runs[-1]["run_id"] = -1
    assert snapshot._digest("a", 1, state) != snapshot._digest(
        "a", 1, {**state, "open_runs": runs[:-1]}
    )
