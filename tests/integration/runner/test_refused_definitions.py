"""What the database refuses of one cron's definition costs that cron alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rqcron_events.models import CronEvent


@pytest.fixture
def spoil(crons):
    """Give a cron a definition that passed every check and that the database refuses all the same."""

    def spoil_cron(name, **fields):
        cron = crons.crons[name]
        crons.crons[name] = replace(cron, definition=replace(cron.definition, **fields))

    return spoil_cron


REFUSED = [
    {"options": {"meta": {"share": float("nan")}}},
    {"options": {"meta": {"share": {1, 2}}}},
    {"description": "lone \ud800 surrogate"},
]


@pytest.mark.parametrize("fields", REFUSED, ids=["nan", "set", "surrogate"])
def test_a_definition_that_cannot_be_stored_is_left_out_and_the_others_start(
    deploy, add, crons, spoil, caplog, fields
):
    """I10: the events of all crons go in together, and one that is refused must not hold the rest."""
    for name in ("first", "spoiled", "last"):
        add(name, schedule="* * * * *")
    spoil("spoiled", **fields)
    deploy()
    registered = CronEvent.objects.of_type("cron_registered").order_by("cron")
    assert list(registered.values_list("cron", flat=True)) == ["first", "last"]
    said = [r for r in caplog.records if getattr(r, "action", "") == "cron_not_registered"]
    assert [record.cron for record in said] == ["spoiled"]
    assert "the other crons are not affected" in said[0].getMessage()


def test_a_change_that_cannot_be_stored_leaves_the_logged_definition_in_effect(
    deploy, add, spoil, crons
):
    add("report", schedule="* * * * *")
    deploy()
    add("report", schedule="*/5 * * * *")
    add("new", schedule="* * * * *")
    spoil("report", options={"meta": {"share": float("nan")}})
    runner = deploy()
    assert runner.states.crons["report"].definition.expression == "* * * * *"
    assert runner.states.crons["new"].definition is not None


def test_it_starts_by_itself_when_the_definition_is_mended(deploy, add, spoil, crons):
    add("report", schedule="* * * * *")
    spoil("report", options={"meta": {"share": float("nan")}})
    deploy()
    assert not CronEvent.objects.for_cron("report").exists()
    add("report", schedule="* * * * *")
    deploy()
    assert CronEvent.objects.for_cron("report").of_type("cron_registered").count() == 1
