"""``cron_run --once``, called now and then, is a deployment like others."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from rqcron_events.runner.once import once
from tests.chaos.stage import RedisServer

MINUTE = timedelta(minutes=1)


@pytest.fixture
def own_redis(settings, tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    queues = copy.deepcopy(settings.RQ_QUEUES)
    for queue in queues.values():
        queue["URL"] = server.url
    settings.RQ_QUEUES = queues
    yield server
    server.stop()


def test_after_an_outage_redis_is_not_said_to_be_away(db, own_redis, add, clock, capsys):
    add("report", schedule="* * * * *")
    once()
    own_redis.stop()
    clock.advance(MINUTE)
    with pytest.raises(CommandError, match="does not answer"):
        call_command("cron_run", "--once")
    own_redis.start()
    capsys.readouterr()
    for seconds, told in (
        (1, "0 runs decided.\n1 run decided before may be"),
        (60, "1 run decided."),
    ):
        clock.advance(timedelta(seconds=seconds))
        call_command("cron_run", "--once")
        assert capsys.readouterr().out.startswith(told)
