"""Sealing by real processes: beside the runner that leads, and killed at each step."""

from __future__ import annotations

import io
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from rqcron_events.models import CronEvent, CronSeal, SealProgress
from rqcron_events.process.failpoints import FAILPOINTS
from tests.processes import Project
from tests.sealing import KEY, fire, history, seal, verified

STEPS = ("before_seal", "seal_written", "after_seal", "seal_sent")


@pytest.fixture
def sealing(project: Project, settings: Any, tmp_path: Path) -> Path:
    """Processes have the key, and a directory to tell."""
    receivers = {"disk": {"kind": "file", "path": str(tmp_path / "outside")}}
    settings.RQCRON_SEAL_KEY = KEY.secret_text()
    settings.RQCRON_SEAL_RECEIVERS = receivers
    project.environment |= {
        "TEST_SEAL_KEY": KEY.secret_text(),
        "TEST_SEAL_SECONDS": "0.2",
        "TEST_SEAL_RECEIVERS": json.dumps(receivers),
    }
    return tmp_path / "outside"


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_this_step_nothing_is_sealed_twice_and_it_goes_on(
    step: str, sealing: Path, project: Project
) -> None:
    history("alpha", runs=3)
    killed = project.run("cron_seal", RQCRON_FAILPOINT=step)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    committed = step in ("after_seal", "seal_sent")
    assert CronSeal.objects.count() == committed
    assert (sealing / "checkpoint").exists() == (step == "seal_sent")
    assert SealProgress.objects.filter(name="receiver:disk").count() == 0

    fire("beta", 1)
    call_command("cron_seal", stdout=io.StringIO())
    assert [row.size for row in CronSeal.objects.all()] == ([13, 18] if committed else [18])
    assert (sealing / "checkpoint").read_text() == CronSeal.objects.last().note
    assert verified(sealing).ok


def test_every_step_of_sealing_is_tried_here() -> None:
    assert set(STEPS) == {name for name, text in FAILPOINTS.items() if text.startswith("who seals")}


def test_the_runner_that_leads_has_its_log_sealed_and_costs_a_slot_nothing(
    sealing: Path, project: Project
) -> None:
    runner = project.start("cron_run", TEST_APPS="tests.many_app")
    project.wait_until(lambda: CronSeal.objects.count() >= 2)
    project.wait_until((sealing / "checkpoint").exists)
    assert CronEvent.objects.of_type("slot_fired").exists()
    assert runner.stop() == 0
    assert KEY.secret_text()[-20:] not in project.output
    assert "Traceback" not in project.output
    seal()
    assert verified(sealing).ok
