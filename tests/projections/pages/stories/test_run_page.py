"""The page of a run: its attempts, its error, what it returned, and what can be done about it."""

from __future__ import annotations

from uuid import UUID

import pytest
from django.utils.html import escape
from rqcron_projections.pages.frame.links import page_url

from rqcron_events.core.definition import run_id_for_slot
from rqcron_events.models import CronEvent
from rqcron_events.operations import controls

from .conftest import checked, slot


def html(client, run, status=200, **values) -> str:
    return checked(client.get(page_url("admin", "run", run), values), status)


def test_each_attempt_is_a_row_with_its_error_and_the_last_traceback_is_open(add, live, login):
    def fails() -> None:
        raise ValueError("no <stock>")

    add("order", fails, schedule="* * * * *", retry=1)
    live(1)
    run = run_id_for_slot("order", slot("09:01"))
    text = html(login(), run)
    assert '<th scope="row">1</th>' in text
    assert '<th scope="row">2</th>' in text
    assert "failed, 1 retry left" in text
    assert text.count("<strong>ValueError</strong>: no &lt;stock&gt;") == 2
    assert "Traceback of attempt 1: ValueError" in text
    assert '<details class="rqcron-traceback" open>' in text
    assert page_url("admin", "slot", "order", slot("09:01")) in text
    assert f"{page_url('admin', 'action', 'rerun')}?run={run}" in text


def test_what_a_run_returned_is_shown(add, live, login):
    add("count", lambda: "7 <lines>\nand \x1b[1mmore", schedule="* * * * *", store_result=True)
    live()
    text = html(login(), run_id_for_slot("count", slot("09:01")))
    assert "7 &lt;lines&gt;" in text
    assert "\x1b" not in text


def test_a_run_that_somebody_asked_for_tells_who_and_why(
    add, live, login, django_capture_on_commit_callbacks, work
):
    add("report", schedule="0 0 1 1 *")
    live()
    with django_capture_on_commit_callbacks(execute=True):
        run = controls.trigger("report", reason="the <board> meets", by="user:ann")
    text = html(login(), run)
    assert "<strong>manual, enqueued</strong>" in text
    assert "requested" in text
    assert "by user:ann (the &lt;board&gt; meets)" in text
    assert ", still" in text, "it waits in the queue"
    work()
    assert "<strong>manual, succeeded</strong>" in html(login(username="bob"), run)


def test_a_run_that_never_was_is_not_found(db, login):
    text = html(login(), UUID(int=7), status=404)
    assert escape("Run 00000000-0000-0000-0000-000000000007 is not known.") in text


def test_a_run_whose_event_cannot_be_read_leads_to_the_log(add, live, login, rows_of_before):
    add("report", schedule="* * * * *")
    live()
    run = run_id_for_slot("report", slot("09:01"))
    last = CronEvent.objects.for_run(run).last()
    CronEvent.objects.create(
        stream=f"run/{run}", version=50, type="run_sang", cron="report", run_id=run,
        occurred_at=last.occurred_at,
    )  # fmt: skip
    client = login()
    text = html(client, run)
    assert escape("Event type 'run_sang' is unknown to this release") in text
    log = f"{page_url('admin', 'log')}?run={run}"
    assert log in text
    assert (
        escape("cannot be read: Event type 'run_sang' is unknown")
        in client.get(log).content.decode()
    )


@pytest.mark.parametrize("permissions", [["rqcron_projections.view_cronjob"]])
def test_runs_have_a_permission_of_their_own(add, live, login, permissions):
    add("report", schedule="* * * * *")
    live()
    html(login(*permissions), run_id_for_slot("report", slot("09:01")), status=403)
