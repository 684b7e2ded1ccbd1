"""A follower that fails is said once, however long it lasts, and once more when it works."""

from __future__ import annotations

import logging

from rqcron_events.followers import Follower, followers
from rqcron_events.runner.following.steps import follow_some


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
