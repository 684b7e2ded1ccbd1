"""Receivers that are slow, dead, wrong or many: nothing is lost, overtaken or told twice."""

from __future__ import annotations

import json
import logging
import re
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.urls import include, path
from rqcron_projections.signals import http
from rqcron_projections.signals.alerts import checks, courier, outbox, watch
from rqcron_projections.signals.alerts.conf import alert_conf, problems
from rqcron_projections.signals.models import AlertMessage

from tests.processes import ROOT

from .conftest import SECRET

MINUTE = timedelta(minutes=1)
OPENED, RECOVERED = "opened", "recovered"


@pytest.fixture
def to_hook(alerts, hook):
    receiver = {"kind": "webhook", "url": hook.url, "secret": SECRET}
    alerts({"failing": {}, "missed": {}}, {"hook": receiver})
    return hook


@pytest.fixture
def run(add, deploy, clock, end, followed):
    add("report", schedule="* * * * *")
    runner = deploy()
    followed()

    def run(*kinds: str, **data: Any) -> None:
        clock.advance(MINUTE)
        runner.tick()
        end("report", "run_started")
        end("report", *kinds, **data)
        followed()

    return run


def test_a_webhook_is_signed_and_says_what_happened(to_hook, run, delivered, settings):
    run("run_failed")
    assert delivered() == 1
    (body,) = to_hook.taken
    (alert,) = body["alerts"]
    assert body["type"] == "rqcron.alerts"
    assert alert["sentence"] == "report is failing: its last run failed."
    assert "report fired" in alert["explanation"]
    assert {"slot_fired", "run_started", "run_failed"} <= {
        event["type"] for event in alert["evidence"]
    }
    assert (alert["rule"], alert["change"], alert["link"]) == ("failing", OPENED, "")
    assert delivered() == 0


def test_the_page_says_how_to_verify_a_webhook(to_hook, run, delivered):
    page = (ROOT / "docs" / "alerts.md").read_text()
    (code,) = re.findall(r"```python\n(import base64.+?)```", page, re.DOTALL)
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    run("run_failed")
    delivered()
    headers, body = to_hook.last
    assert namespace["is_ours"](SECRET, headers, body)
    assert not namespace["is_ours"](SECRET, headers, body + b" ")
    assert not namespace["is_ours"](SECRET, {**headers, "webhook-timestamp": "1"}, body)


def test_a_receiver_that_fails_for_minutes_gets_all_in_order_and_once(
    to_hook, run, delivered, clock
):
    to_hook.answers = [500, 503, 500]
    run("run_failed")
    assert delivered() == 0
    assert AlertMessage.objects.filter(body__isnull=False).count() == 1
    run("run_succeeded")
    for _ in range(8):
        delivered()
        clock.advance(timedelta(seconds=10))
    assert to_hook.alerts == [("failing", "report", OPENED), ("failing", "report", RECOVERED)]
    first = to_hook.tried[:4]
    assert len(set(first)) == 1  # the same message, byte for byte
    assert len(to_hook.tried) == 5
    assert set(AlertMessage.objects.values_list("status", "body")) == {("sent", None)}


def test_the_time_between_tries_grows_and_follows_what_the_receiver_asks_for(
    to_hook, run, delivered, clock
):
    to_hook.answers = [500] * 20
    run("run_failed")
    waits = []
    for _ in range(9):
        delivered()
        row = AlertMessage.objects.get()
        waits.append((row.next_try_at - clock.now).total_seconds())
        clock.set(row.next_try_at)
    assert waits == [5, 10, 20, 40, 80, 160, 320, 600, 600]
    to_hook.headers["Retry-After"] = "900"
    delivered()
    assert AlertMessage.objects.get().next_try_at - clock.now == timedelta(seconds=600)


def test_what_is_refused_or_not_taken_for_days_is_given_up_and_named(
    to_hook, run, delivered, clock, caplog
):
    to_hook.answers = [400]
    run("run_failed")
    assert delivered() == 0
    run("run_succeeded")
    assert delivered() == 1  # it holds up nothing
    to_hook.answers = [500] * 3
    run("run_failed")
    delivered()
    clock.advance(timedelta(days=3, seconds=1))
    delivered()
    assert [row.status for row in AlertMessage.objects.order_by("id")] == [
        "failed",
        "sent",
        "failed",
    ]
    logged = [r for r in caplog.records if getattr(r, "action", "") == "alert_given_up"]
    assert [r.levelno for r in logged] == [logging.ERROR] * 2
    assert watch.problems() == [
        "Receiver 'hook' was not told of 1 alert within a day; see cron_signal."
    ]


def test_a_receiver_that_does_not_answer_is_named_by_health(to_hook, run, delivered, clock):
    to_hook.answers = [500] * 3
    run("run_failed")
    for _ in range(3):
        assert watch.problems() == []
        delivered()
        clock.advance(MINUTE)
    (problem,) = watch.problems()
    assert problem.startswith("Receiver 'hook' has not taken 1 alert since 2026-03-02 09:01")
    assert problem.endswith("HTTP 500.")


@pytest.mark.parametrize("answer", [0, 1], ids=["hangs", "drips"])
def test_a_receiver_that_never_ends_its_answer_is_left(
    to_hook, run, delivered, monkeypatch, answer
):
    monkeypatch.setattr(http, "STEP_SECONDS_MAX", 0.3)
    monkeypatch.setattr(http, "SECONDS_MAX", 0.6)
    to_hook.answers = [answer]
    run("run_failed")
    assert delivered() == 0
    row = AlertMessage.objects.get()
    assert (row.status, row.attempts, row.claimed_until) == ("waiting", 1, None)
    assert row.answer.startswith("no answer (")


def test_a_storm_is_a_few_messages(to_hook, add, deploy, clock, followed, delivered):
    for number in range(120):
        add(f"cron-{number:03}", schedule="* * * * *")
    runner = deploy()
    followed()
    clock.advance(timedelta(minutes=3))
    runner.tick()
    assert len(followed()) == 240
    assert delivered() == 3
    assert len(set(to_hook.alerts)) == 240
    explained = [sum(bool(a["explanation"]) for a in body["alerts"]) for body in to_hook.taken]
    assert explained == [10] * 3


def test_what_another_process_is_sending_is_left_to_it_and_taken_over_when_it_died(
    to_hook, run, delivered, clock
):
    run("run_failed")
    batch = outbox.claim("hook")  # and then the process is killed
    assert len(batch) == 1
    assert delivered() == 0
    clock.advance(timedelta(seconds=outbox.CLAIM_SECONDS + 1))
    assert delivered() == 1
    assert to_hook.alerts == [("failing", "report", OPENED)]


def test_mail_reaches_a_server(alerts, mailbox, run, delivered, settings):
    settings.DEFAULT_FROM_EMAIL = "crons@example.org"
    alerts({"failing": {}}, {"ops": {"kind": "mail", "to": ["ops@example.org"]}})
    run("run_failed")
    run("run_succeeded")
    assert delivered() == 1
    (mail,) = mailbox.mails
    text = mail.content.decode()
    assert (mail.mail_from, mail.rcpt_tos) == ("crons@example.org", ["ops@example.org"])
    assert "Subject: 2 cron alerts: 1 opened, 1 recovered" in text
    assert "report is failing: its last run failed." in text
    assert "Evidence:" in text


def test_a_mail_that_is_refused_for_good_holds_up_no_other(alerts, mailbox, run, delivered, clock):
    alerts({"failing": {}}, {"ops": {"kind": "mail", "to": ["ops@example.org"]}})
    mailbox.answers = ["451 later", "550 unknown"]
    run("run_failed")
    assert delivered() == 0
    clock.advance(MINUTE)
    assert delivered() == 0
    run("run_succeeded")
    assert delivered() == 1
    assert [row.status for row in AlertMessage.objects.order_by("id")] == ["failed", "sent"]
    assert "550" in AlertMessage.objects.order_by("id").first().answer


def test_what_waits_for_a_receiver_that_was_taken_out_is_given_up_by_and_by(
    to_hook, run, delivered, settings, clock, followed
):
    to_hook.answers = [500] * 3
    run("run_failed")
    for _ in range(3):
        delivered()
        clock.advance(MINUTE)
    assert "has not taken 1 alert" in watch.problems()[0]
    settings.RQCRON_ALERTS = {"rules": {"failing": {}}, "receivers": {"log": {"kind": "log"}}}
    assert watch.problems() == []  # nobody tries it any more, which somebody wanted
    followed()
    row = AlertMessage.objects.get(receiver="hook")
    assert row.status == "waiting"  # the settings may be those of a deploy that is under way
    clock.advance(timedelta(days=3, hours=1))
    run("run_succeeded")
    row.refresh_from_db()
    assert (row.status, row.body) == ("failed", None)
    assert row.answer == "the receiver is not in RQCRON_ALERTS any more"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what Apprise imports
def test_apprise_tells_its_services_and_never_its_url(alerts, hook, run, delivered, clock, caplog):
    url = hook.url.replace("http://", "json://")
    alerts({"failing": {}}, {"chat": {"kind": "apprise", "url": url}})
    run("run_failed")
    assert delivered() == 1
    assert hook.unsigned[0]["title"] == "report is failing: its last run failed."
    hook.shutdown()
    hook.server_close()
    run("run_succeeded")
    with caplog.at_level(logging.DEBUG, "rqcron_projections"):
        assert delivered() == 0
    row = AlertMessage.objects.get(status="waiting")
    ours = [r.getMessage() for r in caplog.records if r.name.startswith("rqcron")]
    assert "Apprise" in row.answer
    assert not [text for text in [row.answer, *ours] if "hidden" in text or "127.0.0.1" in text]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_apprise_knows_that_the_text_is_plain(alerts, hook, run, delivered):
    """For a service that shows HTML it would be taken for that: ``<`` of an error is no tag, which Telegram
    refuses, and nobody's markup."""
    url = hook.url.replace("http://", "json://") + "&format=html"
    alerts({"failing": {}}, {"chat": {"kind": "apprise", "url": url}})
    message = "'<' not supported between int and <a href=//evil>str</a>"
    run("run_failed", data={"error": {"type": "TypeError", "message": message}})
    assert delivered() == 1
    told = hook.unsigned[0]["message"]
    assert "evil" in told
    assert "<a " not in told
    assert "'<'" not in told


def test_an_alert_leads_to_the_page_of_its_slot(to_hook, run, delivered, settings):
    settings.ROOT_URLCONF = __name__
    settings.RQCRON_SITE_URL = "https://example.org/"
    run("run_failed")
    delivered()
    (alert,) = to_hook.taken[0]["alerts"]
    assert alert["link"] == "https://example.org/admin/report/slot/2026-03-02T09:01:00Z/"


def _page(request, **parts): ...


_pages = [path("<str:cron>/slot/<str:instant>/", _page, name="rqcron_slot")]
urlpatterns = [path("admin/", include((_pages, "admin")))]


def test_the_last_runner_is_missed_by_whoever_asks_for_health(
    alerts, hook, deploy, add, clock, followed, delivered, monkeypatch
):
    alerts(
        {"no_runner": {"seconds": 60}},
        {"hook": {"kind": "webhook", "url": hook.url, "secret": SECRET}},
    )
    monkeypatch.setattr(watch, "deliver_all", lambda _: delivered())
    monkeypatch.setattr(watch, "wake", delivered)
    add("report", schedule="0 0 * * *")
    runner = deploy()
    assert followed() == []
    watch.on_health(waits=True)
    assert hook.alerts == []
    runner.lease.release()
    runner.stop()
    watch.on_health(waits=True)
    clock.advance(timedelta(seconds=61))
    for _ in range(3):
        watch.on_health(waits=True)
    assert hook.alerts == [("no_runner", "", OPENED)]
    assert "No runner leads" in hook.taken[0]["alerts"][0]["sentence"]
    deploy()
    assert followed() == [("no_runner", "", OPENED), ("no_runner", "", RECOVERED)]
    delivered()
    assert hook.alerts[1:] == [("no_runner", "", RECOVERED)]


def test_cron_signal_lists_receivers_and_tests_them(to_hook, run, delivered, capsys):
    run("run_failed")
    delivered()
    to_hook.answers = [500]
    run("run_succeeded")
    delivered()
    call_command("cron_signal", format="json")
    (row,) = json.loads(capsys.readouterr().out)
    assert {key: row[key] for key in ("receiver", "kind", "rules", "sent", "waiting", "failed")} == {
        "receiver": "hook", "kind": "webhook", "rules": "failing, missed",
        "sent": 1, "waiting": 1, "failed": 0,
    }  # fmt: skip
    assert row["last_failure"] == "HTTP 500"
    call_command("cron_signal", test="hook")
    assert capsys.readouterr().out == "opened: HTTP 200\nrecovered: HTTP 200\n"
    assert to_hook.alerts[-2:] == [("test", "", OPENED), ("test", "", RECOVERED)]
    to_hook.answers = [403]
    with pytest.raises(CommandError, match="HTTP 403"):
        call_command("cron_signal", test="hook")
    with pytest.raises(CommandError, match=r"Known: hook\. Did you mean"):
        call_command("cron_signal", test="hok")


WRONG = {
    "Receiver 'x' in RQCRON_ALERTS has the kind 'pager'": {"receivers": {"x": {"kind": "pager"}}},
    "Receiver 'x' in RQCRON_ALERTS lacks 'secret'": {
        "receivers": {"x": {"kind": "webhook", "url": "https://hidden.example"}}
    },
    "needs a 'secret' of 'whsec_' and base64 of 24 to 64": {
        "receivers": {"x": {"kind": "webhook", "url": "https://h.example", "secret": "hidden"}}
    },
    "needs a URL with http:// or https://": {
        "receivers": {"x": {"kind": "webhook", "url": "ftp://hidden", "secret": SECRET}}
    },
    "needs a list of addresses in 'to'": {"receivers": {"x": {"kind": "mail", "to": "hidden@a.b"}}},
    "Rule 'faling' in RQCRON_ALERTS is about 'faling'": {"rules": {"faling": {}}},
    "has 0 for 'runs'. Give a whole number from 1": {"rules": {"failing": {"runs": 0}}},
    "has the option 'slots'. Known for failing": {"rules": {"failing": {"slots": 1}}},
    "names the receiver 'ops'. Known: none": {"rules": {"failing": {"receivers": ["ops"]}}},
    "RQCRON_ALERTS has 'rule'. Known: receivers, rules": {"rule": {}},
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_setting_is_named_without_its_secrets(settings, text):
    settings.RQCRON_ALERTS = WRONG[text]
    (problem,) = problems()
    assert text in problem
    assert "hidden" not in problem


def test_the_system_checks_say_what_is_wrong(settings, monkeypatch):
    settings.RQCRON_ALERTS = {"rules": {"faling": {}}}
    assert [message.id for message in checks.check_alerts()] == ["rqcron_projections.E001"]
    settings.RQCRON_ALERTS = {"receivers": {"ops": {"kind": "mail", "to": ["ops@example.org"]}}}
    for seconds, ids in ((None, ["rqcron_projections.W002"]), (10, [])):
        monkeypatch.setattr(checks, "settings", SimpleNamespace(EMAIL_TIMEOUT=seconds))
        assert [message.id for message in checks.check_alerts()] == ids


def test_what_shows_the_settings_shows_no_secret(settings):
    from rqcron_events.conf import conf

    receiver = {"kind": "webhook", "url": "https://hidden.example", "secret": SECRET}
    settings.RQCRON_ALERTS = {"receivers": {"x": receiver}}
    for shown in (repr(conf()), repr(alert_conf())):
        assert "hidden" not in shown
        assert SECRET not in shown


@pytest.mark.django_db(transaction=True)
def test_a_receiver_that_hangs_delays_neither_the_follower_nor_the_others(
    hook, settings, clock, close_threads
):
    settings.RQCRON_ALERTS = {
        "receivers": {
            "dead": {"kind": "webhook", "url": hook.url, "secret": SECRET},
            "log": {"kind": "log"},
        }
    }
    hook.answers = [0]
    for receiver in ("dead", "log"):
        AlertMessage.objects.create(
            receiver=receiver, rule="failing", kind="failing", change=OPENED, at=clock.now,
            created_at=clock.now, next_try_at=clock.now, detail={"sentence": "It fails."},
        )  # fmt: skip
    threads = courier.wake()
    threads[1].join(20)
    assert AlertMessage.objects.get(receiver="log").status == "sent"
    assert threads[0].is_alive()
    assert courier.wake() == [threads[0]]  # no second one for the same receiver
    hook.released.set()
    threads[0].join(20)
    assert AlertMessage.objects.get(receiver="dead").attempts == 1
