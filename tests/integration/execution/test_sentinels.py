"""Which Redis a queue is in, where Sentinel knows its address; no server is asked."""

from __future__ import annotations

import pytest

from rqcron_events.execution.enqueuer import Enqueuer
from rqcron_events.standalone.redis_server import address_of

A, B, C = ("10.0.0.1", 26379), ("10.0.0.2", 26379), ("10.0.1.1", 26379)


def behind(*sentinels: tuple[str, int], master: str = "mymaster", db: int = 0) -> dict[str, object]:
    return {"SENTINELS": list(sentinels), "MASTER_NAME": master, "DB": db, "PASSWORD": "hunter2"}


@pytest.mark.parametrize(
    ("second", "is_same"),
    [
        (behind(B, A), True),
        (behind(C), False),
        (behind(A, B, master="other"), False),
        (behind(A, B, db=1), False),
    ],
    ids=["same in another order", "other sentinels", "other master", "other database"],
)
def test_one_redis_is_one_master_of_the_same_sentinels(settings, monkeypatch, second, is_same):
    monkeypatch.setitem(settings.RQ_QUEUES, "low", behind(A, B))
    monkeypatch.setitem(settings.RQ_QUEUES, "high", second)
    enqueuer = Enqueuer()
    assert (enqueuer.redis_of("low") == enqueuer.redis_of("high")) is is_same
    assert (str(address_of("low")) == str(address_of("high"))) is is_same
    assert "hunter2" not in enqueuer.redis_of("low") + str(address_of("low"))
    assert len(enqueuer.servers()) == 2 + (not is_same)


def test_a_redis_behind_sentinel_is_told_by_its_sentinels(settings, monkeypatch):
    monkeypatch.setitem(settings.RQ_QUEUES, "low", behind(B, A, db=3))
    assert Enqueuer().redis_of("low") == "mymaster at 10.0.0.1:26379,10.0.0.2:26379/3"
    assert str(address_of("low")) == "sentinel://10.0.0.1:26379,10.0.0.2:26379/mymaster/3"
