"""The page of a slot: what explain says, the evidence, and the way to the next question."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.html import escape
from rqcron_projections.pages.frame.links import page_url

from rqcron_events import clock as our_clock
from rqcron_events.core.definition import run_id_for_slot
from rqcron_events.ledger.backend import backend_of
from rqcron_events.models import CronEvent
from rqcron_events.operations import controls

from .conftest import checked, slot

SEE_CRONS = "rqcron_projections.view_cronjob"
EVIL = "pay/roll #1 <b>&\"'"


def fails() -> None:
    raise ValueError("<script>alert(1)</script> \x1b[2J")


def address(name: str, at) -> str:
    return page_url("admin", "slot", name, at)


def html(client, *args, status=200) -> str:
    return checked(client.get(*args), status)


@pytest.fixture
def digest(add, live):
    add("digest", schedule="* * * * *")
    live(2)


def test_a_slot_that_fired_shows_its_run_steps_and_evidence(digest, login):
    text = html(login(), address("digest", slot("09:01")))
    run = run_id_for_slot("digest", slot("09:01"))
    assert "<strong>fired, succeeded</strong>" in text
    assert reverse("admin:django_rq_job_detail", args=[0, f"cron-{run}"]) in text
    assert f'href="{reverse("admin:django_rq_jobs", args=[0])}"' in text
    assert f'href="{reverse("admin:django_rq_workers", args=[0])}"' in text
    assert page_url("admin", "run", run) in text
    assert 'class="rqcron-part rqcron-part-running"' in text
    assert 'rel="next" data-rqcron-key="]" href="' + address("digest", slot("09:02")) in text
    assert "No slot before" in text
    for words in ("registered", "in queue default", "started, attempt 1", "succeeded in"):
        assert words in text


def test_a_skipped_slot_says_who_stopped_it_and_why(digest, live, login):
    controls.pause("digest", reason="the <mail> server moves", by="user:ann")
    live()
    text = html(login(), address("digest", slot("09:03")))
    assert "<strong>skipped (paused)</strong>" in text
    assert "it was paused by user:ann at" in text
    assert "the &lt;mail&gt; server moves" in text
    assert "<mail>" not in text


def test_what_is_no_slot_shows_where_the_schedule_does_not_match(add, live, login):
    add("weekly", schedule="30 9 * * 1", timezone="America/New_York")
    live()
    text = html(login(), address("weekly", slot("09:01")))
    assert "<strong>not a slot</strong>" in text
    assert '<th scope="row">minute</th><td><code>30</code></td><td>01</td>' in text.replace(
        "<td>1</td>", "<td>01</td>"
    )


def test_any_instant_can_be_typed_in_words_too(digest, login):
    client = login()
    at = page_url("admin", "slot_at", "digest")
    assert client.get(at, {"at": "1 minute ago"}).url == address("digest", slot("09:01:30"))
    assert client.get(at, {"at": "09:01"}).url == address("digest", slot("09:01"))
    assert client.get(at).url == address("digest", slot("09:02")), "nothing: the last slot"
    text = html(client, at, {"at": "25 <o'clock>"}, status=400)
    assert "is not an instant" in text
    assert escape("25 <o'clock>") in text
    assert 'value="25 &lt;o&#x27;clock&gt;"' in text, "it can be corrected"


def test_the_text_is_what_the_command_prints(digest, login):
    out = StringIO()
    call_command("cron_explain", "digest", at="2026-03-02T09:01:00Z", stdout=out)
    response = login().get(address("digest", slot("09:01")), {"format": "text"})
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert response.content.decode() == out.getvalue()
    assert escape(out.getvalue().splitlines()[0]) in html(
        login(username="bob"), address("digest", slot("09:01"))
    )


def test_names_errors_and_controls_of_others_are_shown_and_not_run(add, live, login):
    add(EVIL, fails, schedule="* * * * *")
    live()
    text = html(login(), address(EVIL, slot("09:01")))
    assert escape(EVIL) in text
    assert "<strong>ValueError</strong>: &lt;script&gt;alert(1)&lt;/script&gt; \\x1b[2J" in text
    assert "Traceback of attempt 1: ValueError" in text
    assert "<script>" not in text
    assert "\x1b" not in text
    assert "<b>&" not in text


def test_without_their_permissions_evidence_errors_and_actions_are_left_out(add, live, login):
    add("broken", fails, schedule="* * * * *")
    live()
    client = login(SEE_CRONS)
    text = html(client, address("broken", slot("09:01")))
    assert "fired, failed" in text
    for hidden in ("Traceback", "Evidence", "As text", "/do/", "/run/", "/log/"):
        assert hidden not in text, hidden
    assert client.get(address("broken", slot("09:01")), {"format": "text"}).status_code == 403


def test_a_cron_that_never_was_and_a_time_that_is_none_are_not_found(digest, login):
    client = login()
    assert "No cron is named" in html(client, address("digset", slot("09:01")), status=404)
    path = page_url("admin", "cron", "digest") + "slot/yesterday/"
    assert "is not an instant" in html(client, path, status=404)


def test_an_event_of_a_newer_release_is_named_instead_of_an_error(digest, login, crons):
    backend_of(connection).remove_checks(connection)
    newest = CronEvent.objects.for_cron("digest").order_by("-version").first()
    CronEvent.objects.create(
        stream="cron/digest", version=100, type="cron_changed", schema_version=9, cron="digest",
        occurred_at=newest.occurred_at + timedelta(seconds=1),
    )  # fmt: skip
    text = html(login(), address("digest", slot("09:01")))
    assert "schema version 9, but this release knows only 1" in text


def test_a_definition_that_no_longer_parses_is_named(digest, clock, login):
    data = CronEvent.objects.get(type="cron_registered").data
    wrong = {**data["definition"], "timezone": "Mars/Olympus"}
    head = CronEvent.objects.filter(stream="cron/digest").latest("version").version
    CronEvent.objects.create(
        stream="cron/digest", version=head + 1, type="cron_changed", cron="digest",
        occurred_at=clock.now, data={**data, "definition": wrong, "definition_version": 2,
                                     "effective_from": clock.now.isoformat(), "changes": {}},
    )  # fmt: skip
    clock.advance(timedelta(minutes=2))
    text = html(login(), address("digest", slot("09:04")))
    assert "Mars/Olympus" in text
    assert "fired, succeeded" in html(login(username="bob"), address("digest", slot("09:01")))


def test_the_page_answers_while_redis_is_away_and_says_so(digest, live, clock, login, settings):
    clock.advance(timedelta(minutes=1))  # the slot of 09:03 is due, and nobody has decided it
    url = "redis://127.0.0.1:1/0"
    settings.RQ_QUEUES = {name: {"URL": url} for name in settings.RQ_QUEUES}
    text = html(login(), address("digest", slot("09:03")))
    assert "Redis does not answer" in text


def test_queries_do_not_grow_with_slots_runs_and_crons(digest, add, live, login):
    client = login()

    def queries() -> int:
        html(client, address("digest", slot("09:01")))
        with CaptureQueriesContext(connection) as found:
            html(client, address("digest", slot("09:01")))
        return len(found)

    few = queries()
    rows = [
        CronEvent(stream=f"cron/other_{n}", version=1, type="slot_skipped", cron=f"other_{n}",
                  reason="paused", scheduled_for=slot("09:00"), occurred_at=our_clock.now())
        for n in range(300)
    ]  # fmt: skip
    CronEvent.objects.bulk_create(rows)
    live(5)
    assert queries() == few
