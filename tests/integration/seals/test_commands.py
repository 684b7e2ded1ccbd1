"""``cron_seal``, ``cron_verify``, health and the checks, as people and probes meet them."""

from __future__ import annotations

import io
import json
import re
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from rqcron_events import clock
from rqcron_events.checks import check_seals, check_settings
from rqcron_events.conf import conf
from rqcron_events.core.seal import settings as seal_settings
from rqcron_events.core.seal.note import Signer, Verifier
from rqcron_events.ledger.backend import backend_of
from rqcron_events.models import CronEvent, CronSeal, SealProgress
from rqcron_events.queries.health import health
from rqcron_events.queries.seals import look_at_seals
from rqcron_events.seals.progress import failed
from tests.sealing import KEY, execute, fire, history, ids, keep_outside, seal


def printed(*line: str, code: int = 0) -> str:
    out = io.StringIO()
    try:
        call_command(*line, stdout=out, stderr=io.StringIO())
    except SystemExit as ended:
        assert ended.code == code
    else:
        assert code == 0
    return out.getvalue()


def change(event_id: int) -> None:
    backend_of(connection).set_append_only(connection, False)
    execute(f"UPDATE rqcron_event SET actor = 'mallory' WHERE id = {event_id}")
    backend_of(connection).set_append_only(connection, True)


def test_a_key_is_made_and_its_public_part_shown(settings: Any):
    text = printed("cron_seal", "--new-key", "example.org/shop")
    secret, public = re.findall(r": (\S+)$", text, re.MULTILINE)
    assert Signer.of(secret).verifier == Verifier.of(public)
    settings.RQCRON_SEAL_KEY = secret
    assert printed("cron_seal", "--key").strip() == public
    with pytest.raises(CommandError, match="'a b' is no name of a key"):
        printed("cron_seal", "--new-key", "a b")


@pytest.mark.parametrize("line", [("cron_seal", "--new-key", "a.b/c"),
                                  ("cron_verify", "--key", KEY.verifier.text)])  # fmt: skip
def test_what_has_to_be_installed_is_said(
    line: tuple[str, ...], settings: Any, monkeypatch: pytest.MonkeyPatch
):
    settings.RQCRON_SEAL_KEY = ""
    monkeypatch.setattr(seal_settings, "_NEEDS", ("no_such_module",))
    with pytest.raises(CommandError, match=r"needs no_such_module\. Run: pip install"):
        printed(*line)


@pytest.mark.django_db(transaction=True)
def test_sealing_tells_the_receivers(tmp_path: Path, settings: Any):
    settings.RQCRON_SEAL_RECEIVERS = {"disk": {"kind": "file", "path": str(tmp_path / "a")}}
    assert printed("cron_seal").startswith("0 events were sealed; 0 are in all.")
    history("alpha")
    assert printed("cron_seal").splitlines() == [
        "9 events were sealed; 9 are in all.",
        "Receiver disk has it.",
    ]
    (tmp_path / "b").write_text("no directory")
    settings.RQCRON_SEAL_RECEIVERS = {"disk": {"kind": "file", "path": str(tmp_path / "b")}}
    fire("alpha", 3)
    told = printed("cron_seal", code=1)
    assert "Receiver disk did not take it: checkpoint cannot be read: Not a directory." in told
    assert printed("cron_seal", "--tiles") == "The tiles of 13 events are made again.\n"


def test_verify_says_what_it_read_and_what_is_not_sealed_yet(tmp_path: Path):
    history("alpha")
    seal()
    keep_outside(tmp_path)
    text = printed("cron_verify")
    assert "OK: 9 events, to event" in text
    assert "per second)" in text
    assert "This does not prove that log and seals were not replaced together" in text
    fire("alpha", 3)
    text = printed("cron_verify", "--checkpoint", str(tmp_path), "--all")
    assert "1 new seals and 1 from outside agree" in text
    assert "does not prove" not in text
    assert "Not sealed yet: 4 events, since 2" in text
    again = printed("cron_verify")
    assert "The first 9 events were found right before and not read again" in again


def test_verify_in_json_names_the_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    history("alpha")
    seal()
    note = CronSeal.objects.get().note
    change(ids()[3])
    found = json.loads(printed("cron_verify", "--format", "json", code=1))
    assert found["ok"] is False
    assert found["findings"][0] | {"text": ""} == {
        "kind": "differs", "text": "", "event_id": ids()[3], "leaf": 3,
    }  # fmt: skip
    assert found["events_per_second"] >= 0
    CronSeal.objects.all().delete()
    monkeypatch.setattr(sys, "stdin", io.StringIO(note))
    text = printed("cron_verify", "--checkpoint", "-", code=1)
    assert "WRONG of the standard input is about other events than the first 9 of the log" in text


def test_verify_works_for_somebody_with_the_public_key_only(settings: Any, tmp_path: Path):
    history("alpha")
    seal()
    keep_outside(tmp_path)
    settings.RQCRON_SEAL_KEY = ""
    line = ("cron_verify", "--checkpoint", str(tmp_path), "--read-only")
    with pytest.raises(CommandError, match=r"No key is known\. Give --key KEY"):
        printed(*line)
    assert "OK: 9 events" in printed(*line, "--key", KEY.verifier.text)
    assert not SealProgress.objects.filter(name__startswith="verify").exists()
    with pytest.raises(CommandError, match="--key 'x' is no public key"):
        printed(*line, "--key", "x")
    with pytest.raises(CommandError, match="No key is known"):
        printed("cron_verify")


def test_health_says_how_far_it_is_sealed(settings: Any, redis_connection: Any):
    history("alpha")
    seal()
    fire("alpha", 3)
    told = health().to_data()["seals"]
    assert (told["sealed_events"], told["sealed_to"]) == (9, ids()[8])
    settings.RQCRON_SEAL_KEY = ""
    assert health().to_data()["seals"] is None


def test_health_warns_of_what_waits_for_its_seal(settings: Any):
    history("alpha")
    newest = CronEvent.objects.last().recorded_at
    assert look_at_seals(newest + timedelta(seconds=200)).warnings == []
    late = look_at_seals(newest + timedelta(seconds=400))
    assert late.warnings[0].startswith("Events have waited for 40")
    settings.RQCRON_SEAL_SECONDS = 600
    assert look_at_seals(newest + timedelta(seconds=400)).warnings == []
    settings.RQCRON_SEAL_SECONDS = None
    assert look_at_seals(newest + timedelta(days=400)).warnings == []
    seal()
    assert look_at_seals(newest + timedelta(days=400)).unsealed_seconds == 0


def test_health_names_what_verify_found_until_it_is_right(redis_connection: Any):
    history("alpha")
    seal()
    change(ids()[3])
    printed("cron_verify", code=1)
    assert any(
        text.startswith(f"cron_verify found the log changed: Event {ids()[3]} ")
        for text in health().problems
    )
    backend_of(connection).set_append_only(connection, False)
    execute(f"UPDATE rqcron_event SET actor = 'worker/w' WHERE id = {ids()[3]}")
    backend_of(connection).set_append_only(connection, True)
    printed("cron_verify")
    assert look_at_seals(clock.now()).problems == []


def test_health_names_a_receiver_that_takes_nothing_for_long(settings: Any):
    settings.RQCRON_SEAL_RECEIVERS = {"disk": {"kind": "file", "path": "/seals"}}
    failed("receiver:disk", "checkpoint cannot be written: No space left on device")
    failed("receiver:of_before", "it is not in the settings any more")
    assert look_at_seals(clock.now()).problems == []
    [text] = look_at_seals(clock.now() + timedelta(minutes=10)).problems
    assert text.startswith("Receiver 'disk' has not taken a checkpoint since 2")
    assert text.endswith("No space left on device.")
    failed("sealing", "Nothing more is sealed.")
    assert look_at_seals(clock.now()).problems == ["Nothing more is sealed."]


def test_checks_say_that_nothing_is_sealed_or_nobody_is_told(settings: Any):
    [message] = check_seals()
    assert (message.id, "RQCRON_SEAL_RECEIVERS is empty" in message.msg) == (
        "rqcron_events.I004", True,
    )  # fmt: skip
    settings.RQCRON_SEAL_RECEIVERS = {"disk": {"kind": "file", "path": "/seals"}}
    assert check_seals() == []
    settings.RQCRON_SEAL_KEY = ""
    [message] = check_seals()
    assert "RQCRON_SEAL_KEY is not set: the log is not sealed" in message.msg


def test_a_wrong_setting_is_an_error_that_shows_no_secret(settings: Any):
    settings.RQCRON_SEAL_KEY = KEY.secret_text()[:-3]
    settings.RQCRON_SEAL_SECONDS = -1
    first, second = check_settings()
    assert (first.id, second.id) == ("rqcron_events.E004", "rqcron_events.E004")
    assert "RQCRON_SEAL_SECONDS is -1" in first.msg
    assert KEY.secret_text()[-20:-3] not in second.msg
    assert check_seals() == []
    settings.RQCRON_SEAL_SECONDS = 60
    settings.RQCRON_SEAL_KEY = KEY.secret_text()
    assert KEY.secret_text()[-20:] not in repr(conf())
