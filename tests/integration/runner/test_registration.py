"""What a deployment does to the definitions in the log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rqcron_events.models import CronEvent
from rqcron_events.operations import controls
from rqcron_events.testing import assert_fired

MINUTE = timedelta(minutes=1)


def slot(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-02T{text}").replace(tzinfo=UTC)


def types(cron: str) -> list[str]:
    return list(CronEvent.objects.for_cron(cron).order_by("id").values_list("type", flat=True))


def test_a_definition_has_a_history_that_the_log_tells(deploy, add, crons, clock):
    """Change the schedule, pause, deploy without the cron, bring it back."""
    from rqcron_events import explain

    add("report", schedule="0 * * * *")
    runner = deploy()
    clock.set(slot("10:00:05"))
    runner.tick()
    clock.set(slot("10:20"))
    add("report", schedule="*/30 * * * *")
    runner = deploy()
    clock.set(slot("10:30:05"))
    runner.tick()
    clock.set(slot("10:40"))
    controls.pause("report", reason="database move", by="ann")
    clock.set(slot("11:10"))
    runner.tick()
    controls.resume("report", by="bob")
    clock.set(slot("11:40"))
    runner.tick()
    crons.crons.clear()
    runner = deploy()
    clock.set(slot("12:40"))
    runner.tick()
    add("report", schedule="0 * * * *")
    runner = deploy()
    clock.set(slot("13:00:05"))
    runner.tick()

    own = [name for name in types("report") if not name.startswith("run_")]
    assert own == [
        "cron_registered",
        "slot_fired",
        "cron_changed",
        "slot_fired",
        "cron_paused",
        "slot_skipped",
        "cron_resumed",
        "slot_fired",
        "cron_retired",
        "cron_registered",
        "slot_fired",
    ]
    answers = {
        text: explain("report", slot(text))
        for text in (
            "09:00",
            "10:00",
            "10:30",
            "11:00",
            "11:30",
            "12:00",
            "13:00",
            "09:30",
            "14:00",
        )
    }
    verdicts = {text: answer.verdict.value for text, answer in answers.items()}
    assert verdicts == {
        "09:00": "not_registered",
        "09:30": "not_a_slot",
        "10:00": "fired",
        "10:30": "fired",
        "11:00": "skipped",
        "11:30": "fired",
        "12:00": "not_registered",
        "13:00": "fired",
        "14:00": "pending",
    }
    in_force = {text: answer.definition_version for text, answer in answers.items()}
    assert in_force["10:00"] == 1
    assert in_force["10:30"] == in_force["11:00"] == in_force["11:30"] == 2
    assert in_force["13:00"] == 3
    assert answers["09:30"].definition.schedule_text == "0 * * * *"
    assert answers["10:30"].definition.schedule_text == "*/30 * * * *"
    assert answers["11:00"].reason == "paused"
    assert "ann" in answers["11:00"].summary
    assert "database move" in answers["11:00"].summary
    changed = CronEvent.objects.get(type="cron_changed")
    assert changed.data["changes"] == {"expression": ["0 * * * *", "*/30 * * * *"]}


def test_a_cron_whose_module_does_not_import_is_not_retired(deploy, add, crons, clock):
    """I10."""
    from rqcron_events.registry import BrokenModule

    add("report", schedule="* * * * *")
    add("other", schedule="* * * * *")
    deploy()
    module = crons.crons.pop("report").definition.function.partition(":")[0]
    crons.broken_modules[module] = BrokenModule(module=module, error="ImportError: no")
    crons.crons.pop("other")
    crons.add("other", len, {"schedule": "* * * * *"})
    runner = deploy()
    clock.advance(MINUTE)
    runner.tick()
    assert "cron_retired" not in types("report")
    assert_fired("report", slot("09:01"))
    assert_fired("other", slot("09:01"))


def test_an_old_process_that_starts_again_does_not_flip_the_definitions(
    deploy, add, crons, clock, settings
):
    """A rolling deploy: new code is alive, old code is started again; then a real roll-back."""
    from rqcron_events.runner.runner import Runner

    settings.RQCRON_LEASE_SECONDS = 60  # nobody beats for the new process
    add("report", schedule="0 * * * *")
    deploy()
    add("report", schedule="*/30 * * * *")
    add("added", schedule="0 * * * *")
    new = deploy()
    add("report", schedule="0 * * * *")
    crons.crons.pop("added")
    old = Runner()
    old.start()
    assert types("report") == ["cron_registered", "cron_changed"]
    assert types("added") == ["cron_registered"]

    new.lease.release()  # the last process with the new code ends: now it is a roll-back
    old._reconciled_at = float("-inf")
    old.tick()
    assert types("report") == ["cron_registered", "cron_changed", "cron_changed"]
    assert types("added") == ["cron_registered", "cron_retired"]
