"""Whoever reads the log can tell people from machines."""

from __future__ import annotations

import getpass

import pytest

from rqcron_events.errors import CronConfigError
from rqcron_events.process.actor import actor_name


@pytest.mark.parametrize(
    "name",
    [
        "runner/web-1",
        "Runner/web-1",
        " worker/abc",
        "\uff52\uff55\uff4e\uff4e\uff45\uff52/x",
        "cron_reconcile",
    ],
)
def test_a_person_cannot_take_a_machines_name(name):
    with pytest.raises(CronConfigError, match=r"only machines write\. Give the person's name\."):
        actor_name(name)


@pytest.mark.parametrize("name", ["ann\n", "ann\x1b[2J", "\u202enna", "\ud800", "a\u200b", "   "])
def test_a_name_that_cannot_be_seen_as_it_is_is_refused(name):
    with pytest.raises(CronConfigError, match="characters that cannot be seen") as refused:
        actor_name(name)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    "name", ["ann", "Zo\xeb \u738b", "deploy/42", "\u0645\u06cc\u200c\u062e", "runner"]
)
def test_people_are_called_as_they_say(name):
    assert actor_name(name) == name


def test_a_long_name_is_cut():
    assert len(actor_name("a" * 1000)) == 200


def test_an_os_user_with_a_machines_name_has_to_say_who_it_is(monkeypatch):
    monkeypatch.setattr(getpass, "getuser", lambda: "worker/7")
    with pytest.raises(CronConfigError, match=r"The OS user's name 'worker/7' .* Give --by"):
        actor_name(None)
