"""What errors said, and what runs returned, is for who may see runs; others see an error's type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.urls import reverse
from rqcron_projections.pages.frame.links import page_url

from rqcron_events.core.definition import run_id_for_slot
from rqcron_events.models import CronEvent

from .conftest import checked, slot

SEE_CRONS = "rqcron_projections.view_cronjob"
SEE_RUNS = "rqcron_projections.view_cronrun"
SEE_EVENTS = "rqcron_events.view_cronevent"
SAID = "of ann@example.org"
RETURNED = "sent to bob@example.org"


def fails() -> None:
    raise ValueError(f"card 4111-1111 {SAID}")


def returns() -> str:
    return RETURNED


@pytest.fixture
def failed(add: Any, live: Callable[..., None]) -> None:
    add("broken", fails, schedule="* * * * *", retry=1)
    CronEvent.objects.create(  # as before words stood apart
        stream="run/00000000-0000-4000-8000-000000000001", version=1, type="run_failed",
        run_id="00000000-0000-4000-8000-000000000001", occurred_at=slot("08:00"), cron="broken",
        data={"error": {"type": "OSError", "message": "early@example.org", "traceback": "early@"}},
    )  # fmt: skip
    add("fine", returns, schedule="* * * * *", store_result=True)
    live(2)


def addresses() -> dict[str, str]:
    """Every page that has something to say of the run."""
    event = CronEvent.objects.filter(type="attempt_failed").latest("id")
    good = CronEvent.objects.filter(type="run_succeeded").latest("id")
    early = CronEvent.objects.get(run_id="00000000-0000-4000-8000-000000000001")
    report, log = reverse("admin:rqcron_report"), reverse("admin:rqcron_log")
    return {
        "overview": page_url("admin", "overview"),
        "cron": page_url("admin", "cron", "broken"),
        "cron, by marks": page_url("admin", "cron", "broken") + "?zoom=hour",
        "slot": page_url("admin", "slot", "broken", slot("09:01")),
        "slot of a result": page_url("admin", "slot", "fine", slot("09:01")),
        "run": page_url("admin", "run", run_id_for_slot("broken", slot("09:01"))),
        "report": f"{report}?since=2026-03-01",
        "report by hour": f"{report}?by=hour&since=2026-03-02T09:00:00Z",
        "report as JSON": f"{report}?since=2026-03-01&format=json",
        "report as CSV": f"{report}?since=2026-03-01&format=csv",
        "load": reverse("admin:rqcron_load"),
        "hour": reverse("admin:rqcron_load") + "?hour=2026-03-02T09:00:00Z",
        "log": log,
        "log of the run": f"{log}?run={event.run_id}",
        "tail of the log": reverse("admin:rqcron_log_tail") + "?after=0",
        "event": page_url("admin", "event", event.id),
        "event of a result": page_url("admin", "event", good.id),
        "table of events": reverse("admin:rqcron_events_cronevent_changelist"),
        "row of an event": reverse("admin:rqcron_events_cronevent_change", args=[event.id]),
        "row of an early event": reverse("admin:rqcron_events_cronevent_change", args=[early.id]),
        "row of a cron": reverse("admin:rqcron_projections_cronjob_changelist"),
    }


HIDDEN = (
    "4111", "ann@", "bob@", "Traceback (most", "of &lt;text", "ValueError: None", "(removed)",
    "card &lt;number&gt;", "card <number>", "early@",
)  # fmt: skip
WITHOUT = [(SEE_CRONS,), (SEE_CRONS, SEE_EVENTS)]


@pytest.mark.parametrize("permissions", WITHOUT, ids=["crons", "crons and events"])
def test_without_the_permission_to_see_runs_no_page_shows_what_an_error_said(
    failed, login, permissions
):
    client = login(*permissions)
    seen, shown = set(), []
    for name, address in addresses().items():
        response = client.get(address, follow=True)
        text = response.content.decode()
        assert response.status_code in (200, 403), (name, response.status_code)
        seen |= {name} if response.status_code == 200 else set()
        shown += [(name, hidden) for hidden in HIDDEN if hidden in text]
    assert shown == []
    assert {"overview", "cron", "slot", "report", "report as JSON", "hour"} <= seen
    assert ("log" in seen) is ("tail of the log" in seen) is (SEE_EVENTS in permissions)


@pytest.mark.parametrize("permissions", WITHOUT, ids=["crons", "crons and events"])
def test_the_type_of_the_error_is_there(failed, login, permissions):
    client = login(*permissions)
    for name in ("overview", "cron", "slot", "report", "report as JSON"):
        assert "ValueError" in client.get(addresses()[name], follow=True).content.decode(), name


def test_with_it_the_message_is_there(failed, login):
    client = login(SEE_CRONS, SEE_RUNS, SEE_EVENTS)
    where = ("overview", "cron", "slot", "run", "report", "log of the run", "event")
    for name in where:
        assert "ann@example.org" in client.get(addresses()[name], follow=True).content.decode(), (
            name
        )
    assert RETURNED in checked(client.get(addresses()["slot of a result"]))
    assert RETURNED in checked(client.get(addresses()["event of a result"]))
