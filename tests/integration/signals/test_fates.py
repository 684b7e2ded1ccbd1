"""What each fate of a slot or run gives: the table of docs/signals.md."""

from __future__ import annotations

import re
from collections import Counter
from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families
from rqcron_projections.projector import catch_up
from rqcron_projections.signals.prometheus.scrape import scrape

from rqcron_events.core.events import Event, EventType, cron_stream
from rqcron_events.ledger import store
from tests.processes import ROOT

MINUTE = timedelta(minutes=1)
OPENED, RECOVERED = "opened", "recovered"
SLOTS, RUNS = "rqcron_cron_slots_total", "rqcron_cron_runs_total"

FATES = {
    "success": ("run_started", "run_succeeded"),
    "failure": ("run_started", "run_failed"),
    "retry, then success": ("run_started", "attempt_failed", "run_started", "run_succeeded"),
    "worker killed": ("run_started", "run_failed"),
    "lost": ("run_started", "run_lost"),
    "declined": ("run_started", "run_declined"),
    "stopped": ("run_started", "run_stopped"),
    "cancelled": ("run_cancelled",),
    "skipped": (),
    "missed": (),
}


def rows_of_the_page() -> dict[str, list[list[str]]]:
    """By fate: what stands in code words in each further column, and whether it is an error."""
    page = (ROOT / "docs" / "signals.md").read_text()
    table = page.partition("<!-- fates -->")[2].partition("<!-- end -->")[0]
    rows = [line.strip("| ").split(" | ") for line in table.strip().splitlines()[2:]]
    return {
        fate: [[f"{a}{b}" for a, b in re.findall(r"`(\w+)`( \(error\))?", c)] for c in cells]
        for fate, *cells in rows
    }


def counted() -> Counter[tuple[str, str]]:
    """By metric, and decision or outcome."""
    catch_up()
    return Counter(
        {
            (sample.name, sample.labels.get("decision") or sample.labels["outcome"]): sample.value
            for family in text_string_to_metric_families(scrape())
            for sample in family.samples
            if sample.name in (SLOTS, RUNS) and sample.value
        }
    )


@pytest.fixture
def decide(deploy, add, clock, end):
    """A cron with a slot each minute; ``decide(fate)`` makes the next one's."""
    add("report", schedule="* * * * *")
    runner = deploy()

    def unfired(kind: str, reason: str) -> None:
        slot = clock.advance(MINUTE).replace(second=0)
        data = {"first": slot.isoformat(), "last": slot.isoformat(), "count": 1}
        event = Event(
            stream=cron_stream("report"), version=0, type=EventType(kind), cron="report",
            scheduled_for=slot, reason=reason, occurred_at=clock.now, data=data,
        )  # fmt: skip
        store.append_next([event])
        runner.states.follow()

    def slot(fate: str) -> None:
        if fate in ("skipped", "missed"):
            unfired(f"slot_{fate}", "overlap" if fate == "skipped" else "too_late")
        else:
            clock.advance(MINUTE)
            runner.tick()
            end("report", *FATES[fate])

    return slot


@pytest.mark.parametrize("fate", FATES)
def test_each_fate_gives_the_signals_of_the_page(alerts, decide, followed, spans, fate):
    expected = rows_of_the_page()
    assert list(expected) == list(FATES)
    slots, runs, opens, closes, told = expected[fate]
    alerts({"failing": {}, "missed": {}})
    followed()
    before = counted()
    decide(fate)
    assert [kind for kind, _, change in followed() if change == OPENED] == opens
    assert spans.follow() == told
    assert counted() - before == Counter(
        {**{(SLOTS, name): 1 for name in slots}, **{(RUNS, name): 1 for name in runs}}
    )
    decide("missed")  # and from here, what is open already
    if fate not in ("skipped", "missed"):
        closes = [*closes, "missed"]
    decide("failure")
    decide("missed")
    followed()
    decide(fate)
    closed = [kind for kind, _, change in followed() if change == RECOVERED]
    assert sorted(closed) == sorted(closes)
