"""A cron name that today's code refuses and that an earlier release let into the log."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import call_command

from rqcron_events import explain, pause
from rqcron_events.core.events import Event, EventType, cron_stream
from rqcron_events.ledger import store
from rqcron_events.models import CronEvent

NAME = "-x"


@pytest.fixture
def logged(db, clock):
    """``-x``, registered by an earlier release."""
    registered = Event(
        stream=cron_stream(NAME),
        version=1,
        type=EventType.CRON_REGISTERED,
        cron=NAME,
        occurred_at=clock.now - timedelta(minutes=2),
        data={
            "definition": {"name": NAME, "function": "shop:f", "expression": "* * * * *"},
            "definition_version": 1,
        },
    )
    store.append([registered])


@pytest.fixture
def fired(logged, crons, deploy, clock):
    """Its code still has it; returns the slot that fired."""
    crons.add(NAME, lambda: None, {"schedule": "* * * * *"})
    runner = deploy()
    clock.advance(timedelta(minutes=1))
    runner.tick()
    return clock.now.replace(second=0)


def test_a_logged_name_that_begins_with_a_hyphen_goes_on(fired, crons):
    assert list(crons.problems) == [NAME]
    assert not CronEvent.objects.for_cron(NAME).of_type("cron_retired").exists()
    assert explain(NAME, fired).verdict.value == "fired"


def test_commands_take_it_behind_two_hyphens(fired, capsys):
    call_command("cron_explain", "--at", fired.isoformat(), "--", NAME)
    assert capsys.readouterr().out.startswith(f"FIRED: {NAME} fired for ")


def test_it_can_be_paused(fired):
    pause(NAME, reason="a name of before", by="ann")
    assert CronEvent.objects.for_cron(NAME).of_type("cron_paused").count() == 1
