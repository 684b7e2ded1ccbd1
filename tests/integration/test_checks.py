"""Checks that ask Redis, which only ``check --deploy`` does."""

from __future__ import annotations

import pytest

from rqcron_events import checks


@pytest.fixture
def policy(redis_connection):
    """``policy("allkeys-lru")`` sets what the server does when it is full."""
    yield lambda name: redis_connection.config_set("maxmemory-policy", name)
    redis_connection.config_set("maxmemory-policy", "noeviction")


def test_w009_a_redis_that_may_evict_jobs(policy):
    policy("noeviction")
    assert checks.check_redis() == []
    policy("allkeys-lru")
    message, *_ = checks.check_redis()
    assert message.id == "rqcron_events.W009"
    assert "maxmemory-policy allkeys-lru" in message.msg
    assert "noeviction" in message.hint


def test_w009_says_nothing_of_a_redis_that_does_not_answer(settings, monkeypatch):
    for queue in settings.RQ_QUEUES:
        monkeypatch.setitem(settings.RQ_QUEUES, queue, {"URL": "redis://127.0.0.1:1/0"})
    assert checks.check_redis() == []
