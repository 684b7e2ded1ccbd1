"""The spool in Redis holds what anybody may have written; what is wrong with it reaches nobody else."""

from __future__ import annotations

import json
import logging
import os
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from django.db import DataError, IntegrityError, OperationalError, ProgrammingError
from redis import Redis

from rqcron_events.core.codec import NewerEvent
from rqcron_events.core.events import EventType, make
from rqcron_events.execution import spool, spool_lists
from rqcron_events.execution.spool import INDEX_KEY, REFUSED_KEY, drain, push, run_key
from rqcron_events.execution.spool_entry import write
from rqcron_events.ledger import store
from rqcron_events.models import CronEvent
from rqcron_events.queries.health import health

NAME = "report"
AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.fixture(params=[False, True], ids=["bytes", "decoded"])
def redis(request, redis_connection: Redis):
    """Also as a connection of a project that decodes responses."""
    with Redis.from_url(os.environ["REDIS_URL"], decode_responses=request.param) as connection:
        yield connection


def asked() -> UUID:
    """The id of a run that the ledger knows."""
    run_id = uuid4()
    store.append_next(
        [
            make.run_requested(
                cron=NAME, version=0, run_id=run_id, slot=None, trigger="manual", of=None,
                reason="", actor="ann", at=AT,
            )
        ]
    )  # fmt: skip
    return run_id


def started(run_id: UUID, **changes: object):
    place = {
        "cron": NAME, "run_id": run_id, "version": 1, "slot": None, "actor": "worker/1", "at": AT,
        "attempt": 1, "retries_left": 0, "job_created_at": "", "job_enqueued_at": "",
    }  # fmt: skip
    return make.run_started(**{**place, **changes})


def succeeded(run_id: UUID, **changes: object):
    place = {
        "cron": NAME, "run_id": run_id, "version": 2, "slot": None, "actor": "worker/1", "at": AT,
        "attempt": 1,
    }  # fmt: skip
    return make.run_succeeded(**{**place, **changes})


def drained(redis: Redis) -> None:
    """Drain as a leader does, until nothing more can be done at once."""
    for _ in range(100):
        if not drain(redis)[1]:
            return
    pytest.fail("it does not end")


def types(run_id: UUID) -> list[str]:
    events = CronEvent.objects.filter(stream=f"run/{run_id}").order_by("version")
    return list(events.values_list("type", flat=True))


def refused(redis_connection: Redis) -> list[str]:
    return [raw.decode(errors="replace") for raw in redis_connection.lrange(REFUSED_KEY, 0, -1)]


def spooled(redis_connection: Redis, run_id: UUID, raw: bytes) -> None:
    redis_connection.rpush(run_key(run_id), raw)
    redis_connection.zadd(INDEX_KEY, {str(run_id): 0})


def changed(run_id: UUID, **changes: object) -> bytes:
    """An honest entry that somebody changed afterwards."""
    return json.dumps({**json.loads(write(succeeded(run_id))), **changes}).encode()


FORGED = {
    "a success that nobody signed": lambda run_id: json.dumps(
        {
            "id": uuid4().hex, "type": "run_succeeded", "schema": 1, "cron": NAME, "attempt": 1,
            "scheduled_for": None, "reason": "", "actor": "worker/1",
            "occurred_at": AT.isoformat(), "data": {},
        }
    ).encode(),
    "a registration": lambda run_id: changed(run_id, type="cron_registered"),
    "another actor": lambda run_id: changed(run_id, actor="legal"),
    "an entry of another run": lambda run_id: write(succeeded(uuid4())),
    "a signature that is a number": lambda run_id: changed(run_id, mac=1),
    "a signature with half a character": lambda run_id: changed(run_id, mac="\ud800"),
    "no JSON": lambda run_id: b"\xff\xfe{",
    "nothing": lambda run_id: b"",
    "a list": lambda run_id: b"[]",
    "deep nesting": lambda run_id: b"[" * 200_000,
    "a number without end": lambda run_id: b'{"id": ' + b"9" * 100_000 + b"}",
    "not a number": lambda run_id: b'{"id": NaN}',
    "a megabyte and more": lambda run_id: b"x" * 1_000_001,
}  # fmt: skip


@pytest.mark.django_db
@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
def test_what_no_worker_wrote_is_set_aside_and_the_rest_goes_on(redis, redis_connection, forged):
    run_id, other = asked(), asked()
    spooled(redis_connection, run_id, forged(run_id))
    push(redis, started(run_id))
    push(redis, started(other))
    drained(redis)
    assert types(run_id) == types(other) == ["run_started"]
    assert len(refused(redis_connection)) == 1
    assert len(refused(redis_connection)[0]) < 3_000
    assert not redis_connection.exists(INDEX_KEY, run_key(run_id), run_key(other))


SIGNED = {
    "a type that is the runner's": {"type": EventType.RUN_ENQUEUED},
    "the outcome that only the reconciler finds": {"type": EventType.RUN_LOST},
    "an attempt of minus one": {"attempt": -1},
    "an attempt that no column holds": {"attempt": 2**40},
    "an attempt that is true": {"attempt": True},
    "an actor without end": {"actor": "a" * 300},
    "the future": {"occurred_at": datetime(9000, 1, 1, tzinfo=UTC)},
    "long ago": {"occurred_at": datetime(1960, 1, 1, tzinfo=UTC)},
    "a time without a zone": {"occurred_at": datetime(2026, 1, 1)},
    "another cron": {"cron": "payroll"},
    "another slot": {"scheduled_for": AT},
    "NUL": {"data": {"worker": "a\0b"}},
    "deep data": {"data": {"a": [[[[[[[[[[1]]]]]]]]]]}},
    "a number of 80 bits": {"data": {"a": 2**80}},
}


@pytest.mark.django_db
@pytest.mark.parametrize("changes", SIGNED.values(), ids=SIGNED)
def test_what_a_worker_cannot_mean_is_set_aside_although_it_is_signed(
    redis, redis_connection, changes
):
    from dataclasses import replace

    run_id = asked()
    spooled(redis_connection, run_id, write(replace(succeeded(run_id), **changes)))
    drained(redis)
    assert types(run_id) == []
    assert len(refused(redis_connection)) == 1


@pytest.mark.django_db
def test_an_event_of_a_run_that_nobody_asked_for_is_set_aside(redis, redis_connection):
    run_id = uuid4()
    push(redis, succeeded(run_id))
    drained(redis)
    assert types(run_id) == []
    assert "no decision and no request" in refused(redis_connection)[0]


@pytest.mark.django_db
def test_a_signed_entry_that_comes_again_is_written_once(redis, redis_connection):
    run_id = asked()
    raw = write(started(run_id))
    for _ in range(3):
        spooled(redis_connection, run_id, raw)
    drained(redis)
    spooled(redis_connection, run_id, raw)
    drained(redis)
    assert types(run_id) == ["run_started"]
    assert not redis_connection.exists(REFUSED_KEY, INDEX_KEY, run_key(run_id))


@pytest.mark.django_db
def test_a_key_that_was_rotated_is_believed_while_it_is_a_fallback(
    redis, redis_connection, settings
):
    run_id = asked()
    push(redis, started(run_id))
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "the next one"
    drained(redis)
    push(redis, succeeded(run_id))
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "and the next", []
    drained(redis)
    assert types(run_id) == ["run_started"]
    assert len(refused(redis_connection)) == 1


@pytest.mark.django_db
def test_an_event_that_is_too_large_is_kept_with_its_texts_cut(redis, redis_connection):
    run_id = asked()
    push(redis, succeeded(run_id, result="é" * 3_000_000, reason="why " * 1_000_000))
    drained(redis)
    assert types(run_id) == ["run_succeeded"]
    [event] = CronEvent.objects.filter(stream=f"run/{run_id}").events()
    assert len(event.data["result"].encode()) < 3_000
    assert len(event.reason) < 9_000


MEMBERS = {
    "no UUID": b"not a run",
    "36 other bytes": b"\xff" * 36,
    "a UUID in capitals": str(UUID(int=2**128 - 1)).upper().encode(),
    "a megabyte": b"x" * 1_000_000,
}


@pytest.mark.django_db
@pytest.mark.parametrize("member", MEMBERS.values(), ids=MEMBERS)
def test_a_member_of_the_index_that_is_no_run_is_set_aside(redis, redis_connection, member):
    run_id = asked()
    redis_connection.zadd(INDEX_KEY, {member: float("-inf")})
    push(redis, started(run_id))
    drained(redis)
    assert types(run_id) == ["run_started"]
    assert len(refused(redis_connection)) == 1
    assert not redis_connection.exists(INDEX_KEY)


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["string", "hash", "list", "zset"])
@pytest.mark.parametrize("which", ["run", "index", "refused"])
def test_a_key_of_the_wrong_type_is_set_aside(redis, redis_connection, which, kind):
    run_id, other = asked(), asked()
    push(redis, started(other))
    key = {"run": run_key(run_id), "index": INDEX_KEY, "refused": REFUSED_KEY}[which]
    right = "zset" if which == "index" else "list"
    if kind == right:
        return
    redis_connection.delete(key)
    {
        "string": lambda: redis_connection.set(key, "x"),
        "hash": lambda: redis_connection.hset(key, "a", "x"),
        "list": lambda: redis_connection.rpush(key, "x"),
        "zset": lambda: redis_connection.zadd(key, {"x": 1}),
    }[kind]()
    spooled_types = spool.spooled_types(redis, run_id)
    assert spooled_types == []
    push(redis, started(run_id))
    spooled(redis_connection, run_id, b"forged")
    push(redis, succeeded(run_id))
    push(redis, succeeded(other))
    drained(redis)
    assert types(run_id) == types(other) == ["run_started", "run_succeeded"]
    assert not redis_connection.exists(INDEX_KEY)


@pytest.mark.django_db
def test_100_000_entries_of_one_run_cost_as_much_as_a_thousand(redis, redis_connection, caplog):
    run_id, other = asked(), asked()
    for _ in range(10):
        redis_connection.rpush(run_key(run_id), *[b"{}"] * 10_000)
    redis_connection.zadd(INDEX_KEY, {str(run_id): 0})
    push(redis, started(other))
    with caplog.at_level(logging.ERROR):
        drain(redis)
        assert types(other) == []  # the bound of one call; it is next
        drain(redis)
    assert types(other) == ["run_started"]
    drained(redis)
    assert not redis_connection.exists(INDEX_KEY, run_key(run_id))
    assert redis_connection.llen(REFUSED_KEY) == spool.REFUSED_MAX
    assert len(caplog.records) < 10


@pytest.mark.django_db
def test_an_entry_of_40_mb_stays_in_redis(redis_connection):
    """By the bytes that Redis sent: a leader's memory does not depend on what others wrote."""
    run_id, redis = asked(), redis_connection
    redis_connection.setrange("big", 40_000_000, "x")
    for _ in range(2):
        redis_connection.eval(
            "redis.call('RPUSH', KEYS[2], redis.call('GET', KEYS[1]))", 2, "big", run_key(run_id)
        )
    redis_connection.delete("big")
    for _ in range(30):
        redis_connection.rpush(run_key(run_id), b"y" * 900_000)
    push(redis, started(run_id))
    before = redis_connection.info("stats")["total_net_output_bytes"]
    assert spool.spooled_types(redis, run_id) == [EventType.RUN_STARTED]
    drained(redis)
    sent = redis_connection.info("stats")["total_net_output_bytes"] - before
    assert sent < 70_000_000  # 30 of 900 kB, read twice, and nothing of the others
    assert types(run_id) == ["run_started"]
    found, _ = spool_lists.read(redis, run_id, 0, 50)
    assert found == []


@pytest.mark.django_db
@pytest.mark.parametrize("error", [DataError("value too long"), IntegrityError("a CHECK")])
def test_what_the_database_refuses_is_set_aside(redis, redis_connection, monkeypatch, error):
    run_id, other = asked(), asked()
    push(redis, started(run_id))
    push(redis, started(other))
    _fail_for(monkeypatch, run_id, error)
    drained(redis)
    assert (types(run_id), types(other)) == ([], ["run_started"])
    assert str(error) in refused(redis_connection)[0]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "error", [NewerEvent("upgrade"), ProgrammingError("permission denied"), KeyError("definition")]
)
def test_what_this_release_cannot_judge_stays_and_the_others_go_on(
    redis_connection, monkeypatch, caplog, error
):
    """More of them than one drain looks at, all at the head of the index."""
    redis = redis_connection
    monkeypatch.setattr(spool, "RUNS_PER_DRAIN", 4)
    stuck = {asked() for _ in range(spool.RUNS_PER_DRAIN + 2)}
    other = asked()
    for run_id in stuck:
        push(redis, started(run_id))
    push(redis, started(other, at=AT + timedelta(hours=1)))
    _fail_for(monkeypatch, stuck, error)
    with caplog.at_level(logging.ERROR):
        for _ in range(4):
            drained(redis)
    assert types(other) == ["run_started"]
    assert redis_connection.zcard(INDEX_KEY) == len(stuck)
    said = [record for record in caplog.records if record.action == "spool_run_stays"]
    assert len(said) == len(stuck)
    monkeypatch.undo()
    drained(redis)
    assert {tuple(types(run_id)) for run_id in stuck} == {("run_started",)}
    assert not redis_connection.exists(REFUSED_KEY)


@pytest.mark.django_db
def test_an_entry_of_a_newer_release_stays(redis, redis_connection, monkeypatch):
    from rqcron_events.core import codec

    run_id, other = asked(), asked()
    with monkeypatch.context() as newer:
        newer.setitem(codec.SCHEMA_VERSIONS, EventType.RUN_STARTED, 2)
        push(redis, started(run_id))
    push(redis, started(other))
    drained(redis)
    assert (types(run_id), types(other)) == ([], ["run_started"])
    assert redis_connection.llen(run_key(run_id)) == 1


@pytest.mark.django_db
def test_a_database_that_is_away_keeps_everything(redis, redis_connection, monkeypatch):
    run_id = asked()
    push(redis, started(run_id))
    _fail_for(monkeypatch, run_id, OperationalError("no connection"))
    with pytest.raises(OperationalError):
        drain(redis)
    assert redis_connection.llen(run_key(run_id)) == 1


@pytest.mark.django_db
def test_health_counts_what_was_refused_and_says_where_it_is(redis_connection):
    spooled(redis_connection, uuid4(), b"forged")
    spooled(redis_connection, uuid4(), b"forged")
    drained(redis_connection)
    (problem,) = [text for text in health().problems if "spool" in text]
    assert problem.startswith("2 entries of the spool in Redis were refused")
    assert f"LRANGE {REFUSED_KEY} 0 9" in problem


def _fail_for(monkeypatch, run_ids, error) -> None:
    """What a trigger, a CHECK or an unreadable stream of these runs does."""
    wanted = {run_ids} if isinstance(run_ids, UUID) else run_ids
    read = spool.read_run

    def fail(run_id: UUID):
        if run_id in wanted:
            raise error
        return read(run_id)

    monkeypatch.setattr(spool, "read_run", fail)
