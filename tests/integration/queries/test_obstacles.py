"""What keeps crons from running is told in bounded time."""

from __future__ import annotations

import copy

from rqcron_events.queries import obstacles as obstacles_module
from rqcron_events.queries.audit import audit
from rqcron_events.queries.obstacles import obstacles
from tests.chaos.stage import RedisServer


def test_a_redis_that_is_frozen_is_an_obstacle_and_holds_nobody_up(
    deploy, add, settings, tmp_path, monkeypatch
):
    monkeypatch.setattr(obstacles_module, "REDIS_SECONDS_MAX", 0.2)
    add("report", schedule="* * * * *")
    deploy()
    server = RedisServer(tmp_path)
    try:
        queues = copy.deepcopy(settings.RQ_QUEUES)
        for queue in queues.values():
            queue["URL"] = f"{server.url}?socket_timeout=300"
        settings.RQ_QUEUES = queues
        server.freeze()
        (found,) = obstacles()
    finally:
        server.stop()
    assert (found.kind, found.queue) == ("redis_away", "default")


def test_an_audit_says_what_it_does_not_prove(deploy, add):
    add("report", schedule="* * * * *")
    deploy()
    told = audit("report").to_data()["not_proved"]
    assert any("rewritten" in item for item in told)
