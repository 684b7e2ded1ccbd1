"""RQCRON_CHECKINS, what is said when it is wrong, and the command that tries a monitor."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from types import SimpleNamespace

import pytest
import sentry_sdk
from django.core.management import CommandError, call_command
from rqcron_projections import projector
from rqcron_projections.signals.checkins import checks
from rqcron_projections.signals.checkins.conf import monitors, problems
from rqcron_projections.signals.prometheus.scrape import scrape

from .stand_ins import API_KEY, PING_KEY, TOKEN

WRONG = {
    "RQCRON_CHECKINS must be a dict of dicts": {"hc": "hidden"},
    "Monitor 'm' in RQCRON_CHECKINS has the kind 'pager'. Give one of healthchecks": {
        "m": {"kind": "pager"}
    },
    "has the name of a receiver in RQCRON_ALERTS": {
        "ops": {"kind": "cronitor", "api_key": "hidden"}
    },
    "lacks 'api_key'": {"m": {"kind": "cronitor"}},
    "has the option 'key'. Known: api_key": {
        "m": {"kind": "cronitor", "api_key": "hidden", "key": 1}
    },
    "needs a URL with http:// or https://": {
        "m": {"kind": "cronitor", "api_key": "hidden", "url": "ftp://hidden"}
    },
    "needs a text in 'api_key'": {"m": {"kind": "cronitor", "api_key": 1}},
    "has 'yes' for 'create'. Give True or False": {
        "m": {"kind": "healthchecks", "ping_key": "hidden", "create": "yes"}
    },
    "has 0 for 'per_minute'. Give a number from 1": {
        "m": {"kind": "cronitor", "api_key": "hidden", "per_minute": 0}
    },
    "has 'report' for 'crons'. Give a list of names": {
        "m": {"kind": "cronitor", "api_key": "hidden", "crons": "report"}
    },
    "needs a dict in 'checks'": {"m": {"kind": "snitch", "checks": {}}},
    "has no slug for 'report' in 'checks'": {
        "m": {"kind": "healthchecks", "ping_key": "hidden", "checks": {"report": "Hid den"}}
    },
    "has one check for several crons": {
        "m": {"kind": "snitch", "checks": {"a": "hidden", "b": "hidden"}}
    },
    "needs 'ping_key', or a UUID for each cron": {"m": {"kind": "healthchecks"}},
    "needs 'ping_key', because 'report' in 'checks' is no UUID": {
        "m": {"kind": "healthchecks", "checks": {"report": "report"}}
    },
    "needs a DSN of Sentry in 'dsn'": {"m": {"kind": "sentry", "dsn": "http://hidden"}},
    "needs a 'dsn', or sentry_sdk.init with one": {"m": {"kind": "sentry"}},
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_setting_is_named_without_its_secrets(settings, text):
    settings.RQCRON_ALERTS = {"receivers": {"ops": {"kind": "log"}}}
    settings.RQCRON_CHECKINS = WRONG[text]
    (problem,) = problems()
    assert text in problem
    assert "hidden" not in problem.lower()
    assert [item.id for item in checks.check_settings()] == ["rqcron_projections.E002"]


def test_without_the_sdk_the_check_says_what_to_install(settings, monkeypatch):
    settings.RQCRON_CHECKINS = {"m": {"kind": "sentry", "dsn": "https://hidden@h.example/1"}}
    assert problems() == []
    monkeypatch.setattr("rqcron_projections.signals.checkins.conf.find_spec", lambda _: None)
    (problem,) = problems()
    assert problem.endswith("pip install 'rqcron-events[sentry]'.")


def test_what_shows_the_settings_shows_no_secret(settings):
    from rqcron_events.conf import conf

    settings.RQCRON_CHECKINS = {"m": {"kind": "cronitor", "api_key": "hidden"}}
    assert "hidden" not in repr(conf())
    assert "hidden" not in repr(monitors())


@pytest.mark.parametrize(
    ("cron", "check"),
    [
        ("send_digest", "send_digest"),
        ("Shop.crons Do!", "shop-crons-do"),
        ("n" * 60, "n{41}-[0-9a-f]{8}"),
        ("日報", "[0-9a-f]{8}"),
    ],
)
def test_a_name_that_is_made_of_a_crons_fits_the_service(settings, cron, check):
    settings.RQCRON_CHECKINS = {
        "sentry": {"kind": "sentry", "dsn": "https://hidden@h.example/1"},
        "cronitor": {"kind": "cronitor", "api_key": "hidden"},
    }
    assert re.fullmatch(check, monitors()["sentry"].check_of(cron))
    assert monitors()["cronitor"].check_of(cron) == cron


@pytest.fixture
def crons(checkins, add, deploy, service):
    """Three, of which Sentry takes one, and Healthchecks cannot tell two apart."""
    checkins(
        hc={"kind": "healthchecks", "url": f"{service.root}/hc", "ping_key": PING_KEY},
        cronitor={"kind": "cronitor", "url": service.root, "api_key": API_KEY},
        snitch={
            "kind": "snitch", "url": f"{service.root}/snitch", "checks": {"a_b": TOKEN},
        },
        sentry={"kind": "sentry", "dsn": service.dsn},
    )  # fmt: skip
    add("a_b", schedule="* * * * *")
    add("A_B", schedule="0 * * * *")
    add("often", every=timedelta(seconds=10))
    deploy()
    projector.catch_up()


LEFT_OUT = "often: left out, because Sentry takes no crons that run more often than once a minute."


def test_crons_that_a_monitor_cannot_watch_are_named(crons, capsys):
    call_command("cron_signal", format="json")
    rows = {row["receiver"]: row for row in json.loads(capsys.readouterr().out)}
    one_check = "have one check, 'a_b'. Give each its own in 'checks'."
    assert rows["hc"]["remarks"] == [f"Crons A_B, a_b {one_check}"]
    assert rows["sentry"]["remarks"] == [f"Crons A_B, a_b {one_check}", LEFT_OUT]
    assert rows["cronitor"]["remarks"] == rows["snitch"]["remarks"] == []
    call_command("cron_signal")
    assert f"Monitor sentry: {LEFT_OUT}\n" in capsys.readouterr().out
    warnings = checks.check_crons(databases=["default"])
    assert {item.id for item in warnings} == {"rqcron_projections.W003"}
    assert len(warnings) == 3
    assert checks.check_crons() == []


def test_sentry_hears_nothing_of_a_cron_that_runs_too_often(crons, service, told, end):
    for name in ("a_b", "often"):
        end_newest(name)
    told()
    heard = {item.check for item in service.heard if "check_in_id" in item.data}
    assert heard == {"a_b"}


def end_newest(cron: str) -> None:
    from uuid import uuid4

    from rqcron_events import clock
    from rqcron_events.core.events import Event, EventType, run_stream
    from rqcron_events.ledger import store

    run_id = uuid4()
    ended = Event(
        stream=run_stream(run_id), version=1, type=EventType.RUN_SUCCEEDED, cron=cron,
        run_id=run_id, attempt=1, occurred_at=clock.now(),
    )  # fmt: skip
    store.append([ended])


@pytest.mark.parametrize(
    ("monitor", "cron", "said", "states"),
    [
        ("hc", "", "log: HTTP 200\n", {"a_b": ["log"]}),
        ("hc", "a_b", "begin: HTTP 200\nsuccess: HTTP 200\n", {"a_b": ["start", "success"]}),
        (
            "cronitor",
            "",
            "begin: HTTP 200\nsuccess: HTTP 200\n",
            {"rqcron-test": ["run", "complete"]},
        ),
        ("snitch", "a_b", "success: HTTP 202\n", {TOKEN: ["ok"]}),
        ("sentry", "a_b", "begin: HTTP 200\nsuccess: HTTP 200\n", {"a_b": ["in_progress", "ok"]}),
    ],
)
def test_cron_signal_tries_a_monitor(crons, service, capsys, monitor, cron, said, states):
    service.checks.add("a_b")
    call_command("cron_signal", test=monitor, cron=cron)
    assert capsys.readouterr().out == said
    assert {check: service.states(check) for check in states} == states


@pytest.mark.parametrize(
    ("monitor", "cron", "text"),
    [
        ("snitch", "", "counts as a check-in. Say of which cron: --cron NAME"),
        ("snitch", "often", "is not about cron 'often'"),
        ("sentry", "often", "is not about cron 'often'"),
        ("hc", "oftn", "No cron is named 'oftn'; see cron_list"),
        ("cronitr", "", "Known: cronitor, hc, sentry, snitch. Did you mean"),
    ],
)
def test_a_test_that_cannot_be_says_why(crons, monitor, cron, text):
    with pytest.raises(CommandError, match=text.replace(".", "[.]")):
        call_command("cron_signal", test=monitor, cron=cron)


def test_a_test_that_is_not_taken_says_what_came_back(crons):
    with pytest.raises(CommandError, match="did not take the test: HTTP 404") as raised:
        call_command("cron_signal", test="hc", cron="a_b")
    assert PING_KEY not in str(raised.value)


def test_cron_signal_and_metrics_say_what_waits(crons, service, told, capsys):
    service.answers = [500]
    end_newest("a_b")
    told()
    call_command("cron_signal", format="json")
    rows = {row["receiver"]: row for row in json.loads(capsys.readouterr().out)}
    assert (rows["hc"]["waiting"], rows["hc"]["last_failure"]) == (1, "HTTP 500")
    assert (rows["cronitor"]["sent"], rows["cronitor"]["waiting"]) == (1, 0)
    text = scrape()
    assert 'rqcron_signals_waiting{signal="checkins",to="hc"} 1\n' in text
    assert 'rqcron_signals_waiting{signal="checkins",to="cronitor"} 0\n' in text
    assert 'rqcron_signals_oldest_timestamp_seconds{signal="checkins",to="hc"}' in text


def test_sentry_takes_the_dsn_and_the_names_of_the_projects_own_client(
    checkins, service, sent, runs, monkeypatch
):
    own = SimpleNamespace(
        dsn=service.dsn, options={"environment": "production", "release": "shop@4.2"}
    )
    monkeypatch.setattr(sentry_sdk, "get_client", lambda: own)
    checkins(sentry={"kind": "sentry"})
    runs("a")
    sent()
    assert [item.data["status"] for item in service.heard] == ["in_progress", "ok"]
    assert {item.data["release"] for item in service.heard} == {"shop@4.2"}
    assert {item.data["environment"] for item in service.heard} == {"production"}
    assert all("monitor_config" not in item.data for item in service.heard)  # nobody registered it
