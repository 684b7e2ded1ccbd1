"""A follower that fails is said once, however long it lasts, and once more when it works; who calls followers."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys

import pytest
from django.db import connection

from rqcron_events.core.codec import NewerEvent
from rqcron_events.followers import Follower, followers
from rqcron_events.runner.following import process
from rqcron_events.runner.following.beside import NobodyFollows, beside_the_runner
from rqcron_events.runner.following.child import FollowerChild
from rqcron_events.runner.following.steps import follow_some
from rqcron_events.runner.following.thread import FollowerThread
from rqcron_events.runner.loop import Loop
from rqcron_events.runner.runner import Runner


def test_an_outage_of_a_follower_is_said_once_and_so_is_its_end(
    transactional_db, monkeypatch, caplog
):
    caplog.set_level(logging.WARNING)
    away = True
    others = []

    def catch_up() -> int:
        if away:
            raise ValueError("the index\nis away")
        return 0

    monkeypatch.setitem(followers, "search", Follower(catch_up=catch_up))
    monkeypatch.setitem(followers, "zoo", Follower(catch_up=lambda: others.append(1) or 0))

    def said() -> list[str]:
        found = [r.action for r in caplog.records if getattr(r, "follower", "") == "search"]
        caplog.clear()
        return found

    for _ in range(3):
        follow_some()
    assert said() == ["follower_failed"]
    assert len(others) == 3, "it stops no other"
    away = False
    for _ in range(2):
        follow_some()
    assert said() == ["follower_recovered"]
    away = True
    follow_some()
    assert said() == ["follower_failed"]
    away = False
    follow_some()


def test_a_process_calls_them_where_another_can_write_and_knows_the_settings(
    transactional_db, settings, monkeypatch
):
    apart = FollowerChild if connection.vendor == "postgresql" else FollowerThread
    assert isinstance(beside_the_runner(), apart)
    settings.SETTINGS_MODULE = None  # as after settings.configure()
    assert isinstance(beside_the_runner(), FollowerThread)
    followers_now = dict(followers)
    try:
        followers.clear()
        assert isinstance(beside_the_runner(), NobodyFollows)
    finally:
        followers.update(followers_now)


def test_nobody_follows_beside_a_runner_that_stands_by_for_a_newer_release(
    transactional_db, redis_connection, crons, monkeypatch
):
    """It leads no more, and its followers could not read that release's event either."""
    told = []

    class Noted(NobodyFollows):
        def go_on(self, *, leading: bool, behind: bool) -> None:
            told.append(leading)

    loop = Loop(Runner())
    loop._followers = Noted()
    try:
        loop._turn()
        monkeypatch.setattr(loop.runner, "tick", lambda: (_ for _ in ()).throw(NewerEvent("new")))
        loop._turn()
    finally:
        loop.finish()
    assert told == [True, False]


def test_a_process_that_is_asked_to_end_is_asked_once():
    """A runner asks once more while it waits; then this one is ending, and would be torn out of that."""
    before = signal.signal(signal.SIGTERM, process._end)
    try:
        with pytest.raises(process._Ended):
            os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_process_to_which_nobody_listens_any_more_ends_without_a_word():
    listens, says = os.pipe()
    os.close(listens)
    done = subprocess.run(
        [sys.executable, "-m", process.__name__, str(logging.INFO), str(os.getpid()), str(says)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        pass_fds=(says,), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    os.close(says)
    assert (done.returncode, done.stderr) == (0, "")
