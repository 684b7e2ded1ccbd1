"""After a long downtime: decided in slices, what is due now first, and nothing else is held up."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest

from rqcron_events import audit, explain
from rqcron_events import clock as clock_module
from rqcron_events.core.events import DECISIONS, EventType
from rqcron_events.followers import Follower, followers
from rqcron_events.leadership.lease import Lease
from rqcron_events.models import CronEvent, CronLease, CronSnapshot
from rqcron_events.process.right_of_way import RightOfWay
from rqcron_events.runner import runner as runner_module
from rqcron_events.runner.following.steps import follow_all
from rqcron_events.runner.following.thread import FollowerThread
from rqcron_events.runner.loop import Loop
from rqcron_events.runner.rq_threads import RqThread
from rqcron_events.runner.runner import Runner

OVERDUE = 12
MONTH = timedelta(days=30)
SECOND = timedelta(seconds=1)
TICKS_MAX = 100


@pytest.fixture
def noted(monkeypatch):
    """In order: the crons that are decided, each of which takes a second, and ``lease`` for each
    look at the lease."""
    told: list[str] = []
    seconds = [0.0]
    decide = runner_module.decide

    def slow(state, *arguments, **options):
        seconds[0] += 1
        told.append(state.name)
        return decide(state, *arguments, **options)

    monkeypatch.setattr(runner_module, "decide", slow)
    monkeypatch.setattr(clock_module, "monotonic_seconds", lambda: seconds[0])
    return told


@pytest.fixture
def behind(deploy, add, clock):
    """A runner before its first tick, after a month without one; one cron is new and on time."""
    for number in range(OVERDUE):
        catch_up = ("latest", "all", "none")[number % 3]
        add(f"overdue_{number}", schedule="30 * * * * *", catch_up=catch_up)
    before = deploy()
    clock.advance(MONTH)
    before.lease.release()
    add("on_time", every=SECOND)
    runner = Runner()
    runner.start()
    clock.advance(SECOND)
    return runner


def decided() -> set[str]:
    return set(CronEvent.objects.filter(type__in=sorted(DECISIONS)).values_list("cron", flat=True))


def catch_up(*runners: Runner) -> None:
    for _ in range(TICKS_MAX):
        for runner in runners:
            runner.tick()
        if len(decided()) > OVERDUE and not any(runner.behind for runner in runners):
            return
    raise AssertionError("it never came to an end")


def test_what_is_due_now_goes_first_in_each_slice(behind, noted, clock):
    for _ in range(3):
        noted.clear()
        behind.tick()
        assert noted[0] == "on_time"
        assert behind.behind
        clock.advance(SECOND)
    fired = CronEvent.objects.for_cron("on_time").of_type(EventType.SLOT_FIRED)
    assert fired.count() == 3
    assert not CronEvent.objects.for_cron("on_time").of_type(EventType.SLOT_MISSED).exists()


def test_the_lease_is_looked_at_after_a_few_decisions(behind, noted, monkeypatch):
    def looked_at(lease: Lease) -> bool:
        noted.append("lease")
        return lease.held

    monkeypatch.setattr(Lease, "is_fresh", property(looked_at))
    catch_up(behind)
    between = " ".join(noted).split("lease")
    assert max(len(names.split()) for names in between) <= 2
    assert sum(len(names.split()) for names in between) >= OVERDUE + 1


def test_one_that_is_long_overdue_is_decided_although_others_come_due(behind, noted, clock, add):
    add("busy", every=SECOND)
    behind._sync()
    for _ in range(OVERDUE):
        clock.advance(SECOND)
        behind.tick()
    assert {f"overdue_{number}" for number in range(OVERDUE)} <= decided()


def test_taken_over_in_the_middle_no_slot_is_decided_twice_and_none_is_left_out(
    behind, noted, clock
):
    behind.tick()
    some = decided()
    assert 0 < len(some) < OVERDUE
    CronLease.objects.update(renewed_at=clock.now - MONTH)  # it seems to be frozen
    second = Runner()
    second.start()
    behind.lease._renewed_at = float("inf")  # and it believes that it leads
    second.tick()
    assert second.leading
    assert some < decided()
    catch_up(second, behind)
    found = audit()
    assert found.ok
    assert found.totals.unaccounted == found.totals.pending == 0
    assert found.totals.expected == OVERDUE * 30 * 24 * 60 + 1


def test_each_slot_of_a_stretch_is_explained(behind, clock):
    catch_up(behind)
    for number, reason in ((0, "superseded"), (1, "superseded"), (2, "too_late")):
        decisions = CronEvent.objects.for_cron(f"overdue_{number}").decisions()
        missed = [event for event in decisions if event.type == EventType.SLOT_MISSED]
        assert len(missed) <= 2, "one event a stretch"
        for days in (29, 15, 1):
            instant = clock.now - SECOND - timedelta(days=days)
            answer = explain(f"overdue_{number}", instant)
            assert (answer.verdict, answer.reason, answer.slot) == ("missed", reason, instant)


def test_what_held_up_the_catch_up_is_said_of_its_last_slot_too(behind, noted, clock):
    behind.lease.release()
    CronLease.objects.filter(name="leader").update(
        holder="runner-before", renewed_at=clock.now - MONTH
    )
    behind.lease.held = False
    catch_up(behind)
    newest = CronEvent.objects.of_type(EventType.SLOT_FIRED).filter(cron__startswith="overdue")
    causes = {event.data.get("held_up", {}).get("cause") for event in newest}
    assert causes == {"stale_lease"}
    clock.advance(SECOND)
    catch_up(behind)
    last = CronEvent.objects.for_cron("on_time").decisions().order_by("-id").first()
    assert "held_up" not in last.data


def test_the_snapshot_waits_for_the_end_of_a_catch_up(behind, noted, settings):
    settings.RQCRON_SNAPSHOT_SECONDS = 1
    CronSnapshot.objects.all().delete()
    behind.tick()
    assert behind.behind
    assert not CronSnapshot.objects.exists()
    catch_up(behind)
    assert CronSnapshot.objects.exists()


def test_a_runner_that_stops_in_the_middle_leaves_the_rest_to_the_next(behind, noted, deploy):
    behind.tick()
    CronSnapshot.objects.all().delete()
    behind.stop()
    assert not CronSnapshot.objects.exists()
    following = Runner()
    following.start()
    catch_up(following)
    assert audit().ok


def test_followers_wait_while_there_is_something_to_catch_up_with(behind, noted):
    """In a thread, that is: it shares the interpreter with what decides."""
    loop = Loop(behind)
    loop._followers = FollowerThread()
    loop._started = True
    loop._tick()
    assert (behind.behind, loop._followers.active) == (True, False)
    catch_up(behind)
    loop._tick()
    assert (behind.behind, loop._followers.active) == (False, True)


def test_followers_get_on_until_nothing_is_left(monkeypatch):
    left = {"one": [5, 5, 0, 0], "two": [1, 0, 0, 0]}
    for name in list(followers):
        monkeypatch.delitem(followers, name)
    for name, applied in left.items():
        monkeypatch.setitem(followers, name, Follower(catch_up=lambda found=applied: found.pop(0)))
    follow_all()
    assert left == {"one": [0], "two": [0]}


def test_runs_that_are_on_time_are_handed_over_before_the_overdue_ones(clock):
    handed: list[list[int]] = []
    side = SimpleNamespace(
        enqueue=lambda requests, more=None: handed.append([each.number for each in requests])
    )
    thread = RqThread(side, "", RightOfWay())
    ages = [MONTH, MONTH - SECOND, SECOND, None, timedelta(0)]
    thread.enqueue(
        [
            SimpleNamespace(number=number, slot=None if age is None else clock.now - age)
            for number, age in enumerate(ages)
        ]
    )
    thread._step()
    thread._step()
    assert handed == [[2, 3, 4], [0, 1]]


def test_a_stop_leaves_what_is_overdue_to_the_next_runner(clock, monkeypatch):
    seconds = [0.0]
    monkeypatch.setattr(clock_module, "monotonic_seconds", lambda: seconds[0])
    handed: list[int] = []

    def enqueue(requests, more=None):
        seconds[0] += 0.6
        handed.append(len(requests))

    thread = RqThread(SimpleNamespace(enqueue=enqueue), "", RightOfWay())
    requests = [SimpleNamespace(slot=clock.now - MONTH) for _ in range(5_000)]
    thread.enqueue([*requests, SimpleNamespace(slot=clock.now)])
    thread.request_stop()
    thread.run()
    assert handed == [1, 500]
