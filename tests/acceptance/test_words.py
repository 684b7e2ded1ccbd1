"""Words of real runs: apart from their facts, scrubbed before they are stored, removed for good."""

from __future__ import annotations

import io
import signal
from datetime import timedelta

import pytest
from django.core.management import call_command

from rqcron_events import clock
from rqcron_events.models import CronEvent, CronText
from rqcron_events.process.failpoints import FAILPOINTS
from tests.processes import Project
from tests.sealing import history

EXPIRE = (
    "from datetime import timedelta; from rqcron_events import clock; "
    "from rqcron_events.operations.redact import expire_texts; "
    "expire_texts(clock.now() - timedelta(days=30))"
)
REDACT = ("cron_redact", "--match", ".", "--reason", "test", "--by", "ann")


@pytest.mark.parametrize("step", ["redacting", "redacted"])
def test_killed_at_this_step_a_removal_is_said_and_goes_on(step: str, project: Project) -> None:
    history("alpha", runs=3)
    killed = project.run(*REDACT, RQCRON_FAILPOINT=step)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    said = CronEvent.objects.of_type("text_redacted")
    assert (CronText.objects.count(), said.count()) == ((3, 0) if step == "redacting" else (0, 1))
    call_command(*REDACT, stdout=io.StringIO())
    assert (CronText.objects.count(), said.count()) == (0, 1)


def test_killed_at_this_step_old_texts_go_the_next_time(project: Project) -> None:
    history("alpha", runs=3)
    CronText.objects.update(stored_at=clock.now() - timedelta(days=40))
    killed = project.run("shell", "-c", EXPIRE, RQCRON_FAILPOINT="expiring")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    said = CronEvent.objects.of_type("texts_expired")
    assert (CronText.objects.count(), said.count()) == (3, 0)
    assert project.run("shell", "-c", EXPIRE).returncode == 0
    assert (CronText.objects.count(), said.count()) == (0, 1)


def test_every_step_of_a_removal_is_tried_here() -> None:
    begins = ("cron_redact,", "who lets old texts go")
    assert {name for name, text in FAILPOINTS.items() if text.startswith(begins)} == {
        "redacting", "redacted", "expiring",
    }  # fmt: skip


def test_words_of_a_run_are_scrubbed_stand_apart_and_can_be_removed(project: Project) -> None:
    """``leaks`` of tests/crons_app raises with a password in its message."""
    project.start("cron_run")
    project.start("cron_worker", "default")
    project.wait_until(CronEvent.objects.of_type("cron_registered").for_cron("leaks").exists)
    assert project.run("cron_trigger", "leaks").returncode == 0
    failed = CronEvent.objects.of_type("run_failed").for_cron("leaks")
    project.wait_until(failed.exists)
    [row] = failed
    assert set(row.data["error"]) == {"type", "shape"}
    texts = CronText.objects.filter(event_id=row.id)
    assert {text.field for text in texts} == {"error.message", "error.traceback"}
    assert not any("hunter2" in text.text for text in texts)
    told = project.run("cron_explain", "--run", str(row.run_id)).stdout
    assert "cannot reach postgres://shop:[secret]@db" in told
    done = project.run("cron_redact", "--run", str(row.run_id), "--reason", "test", "--by", "ann")
    assert done.returncode == 0, done.stderr
    assert not texts.all().exists()
    assert "(removed)" in project.run("cron_events", "--run", str(row.run_id)).stdout
