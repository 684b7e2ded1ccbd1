"""What people do from a page: said first, done by POST only, and shown afterwards."""

from __future__ import annotations

import socket
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.urls import resolve
from django.utils.html import escape
from rq import Queue
from rqcron_projections.pages.frame.links import page_url
from rqcron_projections.pages.frame.permissions import Action

from rqcron_events.core.definition import run_id_for_slot
from rqcron_events.models import CronEvent
from rqcron_events.operations import controls

from .conftest import checked, slot

SEE_CRONS = "rqcron_projections.view_cronjob"
MAY = {
    "pause": "rqcron_projections.pause_cron",
    "resume": "rqcron_projections.resume_cron",
    "trigger": "rqcron_projections.trigger_cron",
    "rerun": "rqcron_projections.rerun_cron",
    "backfill": "rqcron_projections.backfill_cron",
}
EVIL = "pay/roll #1 <b>&\"'"


def page(action: str) -> str:
    return page_url("admin", "action", action)


def by_people() -> list[tuple[str, str, str]]:
    rows = CronEvent.objects.filter(actor__startswith="user:").exclude(type="run_enqueued")
    rows = rows.order_by("id")
    return list(rows.values_list("type", "actor", "reason"))


@pytest.fixture
def digest(add, live):
    add("digest", schedule="* * * * *")
    live(2)
    return {"cron": "digest", "run": str(run_id_for_slot("digest", slot("09:01")))}


@pytest.fixture
def act(login, django_capture_on_commit_callbacks):
    """``act("pause", cron="digest")`` sends the form as ada, and what waits for the commit is done."""
    client = login()

    def send(action: str, **values):
        with django_capture_on_commit_callbacks(execute=True):
            return client.post(page(action), values)

    send.client = client
    return send


def test_a_pause_says_what_will_happen_is_recorded_and_is_shown(digest, act, live):
    text = checked(act.client.get(page("pause"), {"cron": "digest"}))
    assert "Slots of digest are skipped from now on, until somebody resumes it." in text
    assert "Its next slots: 2026-03-02 09:03:00 UTC, 2026-03-02 09:04:00 UTC" in text
    assert by_people() == [], "to look changes nothing"

    done = act("pause", cron="digest", reason="the <server> moves")
    assert by_people() == [("cron_paused", "user:ada", "the <server> moves")]
    text = checked(act.client.get(done.url))
    assert "paused: the &lt;server&gt; moves" in text
    assert "user:ada" in text
    live()
    assert CronEvent.objects.of_type("slot_skipped").count() == 1


def test_a_pause_needs_a_reason(digest, act):
    text = checked(act("pause", cron="digest", reason="  "), 400)
    assert "Give a reason" in text
    assert by_people() == []


def test_an_end_in_words_is_shown_as_an_instant_before_it_is_done(digest, act):
    text = checked(act("pause", cron="digest", reason="lunch", until="2h"))
    assert "until 2026-03-02 11:02:30 UTC" in text
    assert "about 120 slots" in text
    assert by_people() == [], "it is asked for once more"
    assert 'name="until" value="2026-03-02T11:02:30Z"' in text

    act("pause", cron="digest", reason="lunch", until="2026-03-02T11:02:30Z", sure="1")
    event = CronEvent.objects.get(type="cron_paused")
    assert event.data["until"] == "2026-03-02T11:02:30+00:00"


def test_an_end_that_is_none_or_past_is_refused_with_the_reason(digest, act):
    for until in ("yesterday", "in a <while>"):
        text = checked(act("pause", cron="digest", reason="lunch", until=until, sure="1"), 400)
        assert escape(f"Until {until!r} is ") in text
    assert by_people() == []


def test_resuming_says_whose_pause_ends(digest, act):
    assert "there is nothing to resume" in checked(
        act.client.get(page("resume"), {"cron": "digest"})
    )
    controls.pause("digest", reason="holidays", by="bob")
    text = checked(act.client.get(page("resume"), {"cron": "digest"}))
    assert "digest is paused by bob since 2026-03-02 09:02:30 UTC (holidays). That ends" in text
    act("resume", cron="digest")
    assert by_people() == [("cron_resumed", "user:ada", "")]


def test_a_run_now_is_in_the_queue_and_leads_to_its_page(digest, act, redis_connection):
    text = checked(act.client.get(page("trigger"), {"cron": "digest"}))
    assert "One run of digest is asked for now, in queue default" in text
    done = act("trigger", cron="digest", reason="asked by mail")
    event = CronEvent.objects.get(type="run_requested")
    assert (event.actor, event.reason) == ("user:ada", "asked by mail")
    assert Queue("default", connection=redis_connection).job_ids == [f"cron-{event.run_id}"]
    assert page_url("admin", "run", event.run_id) in checked(act.client.get(done.url))


def test_a_run_now_while_redis_is_away_stays_open(digest, act, settings):
    settings.RQ_QUEUES = {name: {"URL": "redis://127.0.0.1:1/0"} for name in settings.RQ_QUEUES}
    done = act("trigger", cron="digest")
    assert done.status_code == 302
    assert CronEvent.objects.filter(type="enqueue_failed").exists()


def test_a_run_now_does_not_wait_for_a_redis_that_hangs(digest, act, settings, monkeypatch):
    monkeypatch.setattr(controls, "REDIS_SECONDS_MAX", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        settings.RQ_QUEUES = {name: {"URL": url} for name in settings.RQ_QUEUES}
        assert act("trigger", cron="digest").status_code == 302
    assert CronEvent.objects.filter(type="enqueue_failed").exists(), "the runner enqueues it later"


def test_a_rerun_is_for_the_same_slot(digest, act):
    text = checked(act.client.get(page("rerun"), {"run": digest["run"]}))
    assert "A new run of digest for its slot 2026-03-02 09:01:00 UTC is asked for" in text
    assert f"like run {digest['run'][:8]} (succeeded)" in text
    act("rerun", run=digest["run"], reason="again")
    event = CronEvent.objects.get(type="run_requested")
    assert (event.scheduled_for, event.data["of"]) == (slot("09:01"), digest["run"])


def test_several_crons_are_paused_at_once_and_a_wrong_one_stops_no_other(add, live, act):
    add("digest", schedule="* * * * *")
    add(EVIL, schedule="* * * * *")
    live()
    text = checked(act.client.get(page("pause"), {"cron": ["digest", EVIL]}))
    assert f"Slots of {escape(EVIL)} are skipped" in text
    done = act("pause", cron=["digest", "nobody", EVIL], reason="move")
    assert [row.cron for row in CronEvent.objects.of_type("cron_paused")] == ["digest", EVIL]
    text = checked(act.client.get(done.url))
    assert escape("No cron is named 'nobody'") in text
    assert escape(EVIL) in text
    assert "<b>" not in text


def test_all_crons_are_paused_and_resumed(digest, act):
    text = checked(act.client.get(page("pause"), {"all": "1"}))
    assert "Slots of every cron are skipped from now on" in text
    act("pause", all="1", reason="outage")
    act("resume", all="1", reason="over")
    assert [kind for kind, _, _ in by_people()] == ["all_paused", "all_resumed"]


def test_without_its_own_permission_an_action_is_refused(digest, login):
    for action in MAY:
        others = [permission for name, permission in MAY.items() if name != action]
        client = login(SEE_CRONS, *others, username=action)
        values = {**digest, "reason": "x", "from": "09:00", "all": "1"}
        assert client.get(page(action), values).status_code == 403, action
        assert client.post(page(action), values).status_code == 403, action
    assert by_people() == []


def test_with_its_permission_alone_an_action_is_allowed_and_no_other_has_a_button(digest, login):
    for action in MAY:
        client = login(SEE_CRONS, MAY[action], username=action)
        checked(client.get(page(action), digest))
        text = checked(client.get(page_url("admin", "slot", "digest", slot("09:01"))))
        assert {other for other in MAY if page(other) in text} <= {action}
        # The slot has fired, and is not skipped by a pause: these two are for other slots.
        assert page(action) in text or action in ("resume", "backfill")


def test_a_get_changes_nothing_and_a_post_needs_the_token(digest, login):
    client = login()
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = client.cookies
    for action in MAY:
        values = {**digest, "reason": "x", "sure": "1", "from": "09:00"}
        checked(client.get(page(action), values))
        assert strict.post(page(action), values).status_code == 403, action
    assert by_people() == []


def test_what_somebody_did_is_shown_to_nobody_else(digest, act, login):
    done = act("pause", cron="digest", reason="secret of ada")
    assert login(username="bob").get(done.url).status_code == 404


def test_what_is_not_there_is_named(digest, act):
    assert act.client.get(page("explode")).status_code == 404
    text = checked(act("pause", cron="digset", reason="x"), 400)
    assert escape("No cron is named 'digset'") in text
    assert "No cron is chosen" in checked(act("trigger"), 400)
    assert "is not an id" in checked(act("rerun", run="<x>"), 400)


def test_an_action_is_in_no_transaction_of_the_request():
    """With ATOMIC_REQUESTS, a job would be in RQ before its request is committed."""
    assert resolve(page("backfill")).func._non_atomic_requests == {"default"}


def test_every_action_has_its_permission():
    assert {action.value: action.permission for action in Action} == MAY


@pytest.mark.usefixtures("transactional_db")  # what is asked for has to be committed
class TestBackfill:
    @pytest.fixture
    def hourly(self, add, live, clock):
        add("hourly", schedule="0 * * * *")
        live()
        return {"cron": "hourly", "from": "2026-03-02 05:00", "to": "2026-03-02T09:00:00Z"}

    def test_is_shown_first_and_then_carried_on_step_by_step(self, hourly, login, work):
        client = login()
        text = checked(client.get(page("backfill"), hourly))
        assert "hourly has 4 slots (4 before it was registered, by its schedule of today)" in text
        assert "4 to run" in text
        assert by_people() == [], "a plan runs nothing"

        address = client.post(page("backfill"), {**hourly, "parallel": "3", "reason": "new"}).url
        assert by_people() == [("run_requested", "user:ada", "new")] * 3
        text = checked(client.get(address))
        assert "0 of 4 have ended; 1 to run; 3 in progress" in text
        assert "data-rqcron-continue" not in text, "there is no room"

        work()
        text = checked(client.get(address))
        assert "3 of 4 have ended; 1 to run; 3 succeeded" in text
        assert "data-rqcron-continue" in text
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        address = client.post(page("backfill"), asked).url
        work()
        text = checked(client.get(address))
        assert "4 of 4 have ended" in text
        assert "Nothing is left to do" in text

    def test_of_a_wrong_range_or_number_says_what_is_wrong(self, hourly, login):
        client = login()
        for wrong, told in [
            ({"to": "2026-03-02 04:00"}, "The range is empty: From"),
            ({"from": "2026-01-01"}, "a page takes 1,000"),
            ({"parallel": "many"}, "is not a number"),
            ({"parallel": "501"}, "give 1 to 500"),
            ({"from": "soon"}, "is not an instant"),
        ]:
            text = checked(client.post(page("backfill"), {**hourly, **wrong}), 400)
            assert told in text, wrong
        assert by_people() == []

    def test_of_slots_that_ran_has_nothing_to_do(self, add, live, login, clock):
        add("often", schedule="* * * * *")
        live(3)
        values = {"cron": "often", "from": "09:01", "to": "09:03"}
        text = checked(login().get(page("backfill"), values))
        assert "There is nothing to run" in text
        assert "2 left out: a run succeeded" in text
        assert clock.now - slot("09:03") < timedelta(minutes=1)
