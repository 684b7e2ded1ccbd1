"""RQCRON_KEEP_DAYS: the leader archives by itself, and says what keeps it from that."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError

from rqcron_events import apps, clock
from rqcron_events.archive import archiving, follower
from rqcron_events.checks import check_settings
from rqcron_events.followers import Follower, followers
from rqcron_events.models import CronEvent, CronSegment, SealProgress
from rqcron_events.queries.seals import look_at_seals
from rqcron_events.runner.following.steps import follow_all
from rqcron_events.testing import FakeClock
from tests.sealing import fire, history, seal


@pytest.fixture
def due(settings: Any) -> None:
    settings.RQCRON_KEEP_DAYS = 30
    history("alpha", runs=3)
    seal()
    fire("beta", 1)
    seal()
    follow_all()


def in_days(days: float) -> FakeClock:
    return FakeClock(clock.now() + timedelta(days=days))


def test_what_is_old_enough_goes(due: None):
    with in_days(29.9):
        assert follower.archive_old()
    assert not CronSegment.objects.exists()
    with in_days(30.1):
        assert follower.archive_old()
    [segment] = CronSegment.objects.all()
    assert segment.size == 13
    [event] = CronEvent.objects.of_type("events_archived")
    assert event.actor == "runner/archive"


def test_small_segments_are_written_once_a_day(due: None, monkeypatch: pytest.MonkeyPatch):
    with in_days(40):
        follower.archive_old()
    fire("beta", 2)
    seal()
    follow_all()
    now = datetime.now(tz=clock.now().tzinfo)
    monkeypatch.setattr(
        follower, "last_segment", lambda: CronSegment(archived_at=now + timedelta(days=40))
    )
    with in_days(40.5):
        follower.archive_old()
        assert CronSegment.objects.count() == 1, "half a day has passed"
        monkeypatch.setattr(follower, "SEGMENT_EVENTS", 5)
        follower.archive_old()
        assert CronSegment.objects.count() == 2, "there are enough for a whole one"
    fire("beta", 3)
    seal()
    follow_all()
    monkeypatch.setattr(follower, "SEGMENT_EVENTS", archiving.SEGMENT_EVENTS)
    with in_days(41.1):
        follower.archive_old()
        assert CronSegment.objects.count() == 3


def test_what_fails_is_said_once_and_noted_until_it_works(
    due: None, settings: Any, segments: Path, caplog: pytest.LogCaptureFixture
):
    segments.write_text("no directory")
    with in_days(40):
        assert not follower.archive_old()
        assert not follower.archive_old()
        said = [each for each in caplog.records if each.__dict__.get("action") == "archive_failed"]
        assert [each.levelno for each in said] == [logging.ERROR]
        noted = SealProgress.objects.get(name="archive")
        assert noted.failing_since is not None
        assert "Storage 'segments' does not" in noted.told
        segments.unlink()
        assert follower.archive_old()
    assert SealProgress.objects.get(name="archive").failing_since is None


def test_what_holds_it_back_is_said_once_and_health_warns_until_it_ends(
    due: None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    slow = Follower(catch_up=lambda: 0, position=lambda: 0)
    monkeypatch.setitem(followers, "slow", slow)
    with in_days(40):
        assert follower.archive_old()
        assert follower.archive_old()
    assert not CronSegment.objects.exists()
    said = [e for e in caplog.records if e.__dict__.get("action") == "archive_held_back"]
    text = "The archive is held back. Follower 'slow' has read the log up to event 0 only."
    assert [each.getMessage() for each in said] == [text]
    assert look_at_seals(clock.now()).warnings == [text]
    monkeypatch.delitem(followers, "slow")
    with in_days(40):
        assert follower.archive_old()
    assert CronSegment.objects.exists()
    assert look_at_seals(clock.now()).warnings == []


def test_it_works_in_a_thread_once_an_hour_where_it_is_set(
    settings: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    calls: list[str] = []

    def work() -> bool:
        calls.append("called")
        raise OperationalError("the database is away")

    monkeypatch.setattr(follower, "archive_old", work)
    monkeypatch.setattr(follower, "_next_at", float("-inf"))
    monkeypatch.setattr(follower, "_thread", None)
    assert follower.archive_when_due() == 0
    assert follower._thread is None
    settings.RQCRON_KEEP_DAYS = 30
    for _ in range(3):
        assert follower.archive_when_due() == 0
        assert follower._thread is not None
        follower._thread.join()
    assert calls == ["called"]
    monkeypatch.setattr(follower, "_next_at", float("-inf"))
    follower.archive_when_due()
    follower._thread.join()
    assert calls == ["called", "called"]
    [waits, _] = [e for e in caplog.records if e.__dict__.get("action") == "archive_waits"]
    assert "the database is away" in waits.getMessage()


def test_without_the_setting_nothing_is_done(settings: Any):
    assert follower.archive_old()
    assert not CronSegment.objects.exists()


def test_wrong_settings_are_errors_of_the_check(settings: Any):
    assert check_settings() == []
    settings.RQCRON_KEEP_DAYS = 0.2
    settings.RQCRON_ARCHIVE = {"storage": "nowhere"}
    found = check_settings()
    assert [message.id for message in found] == ["rqcron_events.E004"] * 2
    assert "Give an alias in STORAGES: default, segments, staticfiles" in found[0].msg
    settings.RQCRON_ARCHIVE = {"storage": "segments"}
    settings.RQCRON_KEEP_DAYS = 90
    assert check_settings() == []
    settings.RQCRON_SEAL_SECONDS = None
    [message] = check_settings()
    assert "the log is not sealed" in message.msg


def test_it_is_one_of_the_followers_where_the_project_has_a_key(
    settings: Any, monkeypatch: pytest.MonkeyPatch
):
    known: dict[str, Any] = {}
    monkeypatch.setattr(apps, "register_follower", known.__setitem__)
    monkeypatch.setattr(follower, "archive_when_due", lambda: 7)
    apps.follow_with_seals()
    assert known["archive"]() == 7
