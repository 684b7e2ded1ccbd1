"""Texts stay in the database when their events go, and can be removed from there all the same."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from rqcron_events.models import CronEvent, CronText
from rqcron_events.seals import segments as segments_of_seals
from rqcron_events.seals.difference import Kind
from rqcron_events.seals.stored import newest_seal
from tests.archive_pass import archive_all
from tests.sealing import fire, history, run_of, verified


@pytest.fixture(autouse=True)
def _archived() -> None:
    """Of alpha's four runs, the first three are in the archive only; each has an error message."""
    history("alpha", runs=4)
    history("beta", runs=2)
    archive_all()
    segments_of_seals._files.clear()
    assert CronText.objects.count() == 7
    assert CronEvent.objects.of_type("run_failed").count() == 3


def redacted(*line: str) -> str:
    out = io.StringIO()
    call_command("cron_redact", *line, "--reason", "request 4711", "--by", "bob", stdout=out)
    return out.getvalue()


def test_those_of_an_archived_run_can_be_removed():
    run = run_of("alpha", 2)
    redacted("--run", str(run), "--dry-run")
    assert CronText.objects.count() == 7
    redacted("--run", str(run))
    assert CronText.objects.count() == 6
    [told] = CronEvent.objects.of_type("text_redacted").events()
    assert (told.data["run_ids"], told.data["removed"]) == ([str(run)], 1)
    redacted("--run", str(run_of("alpha", 4)))
    assert CronText.objects.count() == 5


def test_those_of_a_cron_and_of_a_range_of_time_can_be_removed():
    redacted(
        "--cron", "alpha", "--since", "2026-03-02T12:02:00Z", "--until", "2026-03-02T12:04:00Z"
    )
    assert CronText.objects.count() == 5
    redacted("--cron", "alpha", "--match", "nobody")
    assert CronText.objects.count() == 5
    redacted("--cron", "alpha", "--match", "caf")
    assert CronText.objects.count() == 3


def test_those_that_were_changed_or_taken_out_by_hand_are_found():
    """As those of the log are; one that was redacted is none of them."""
    archived = CronText.objects.filter(event_id__lt=newest_seal().last_id).order_by("event_id")
    archived = archived.exclude(event_id__in=CronEvent.objects.values("id"))
    own, changed, gone, *_ = archived
    assert verified().ok
    redacted("--run", str(run_of("alpha", 1)))
    assert not CronText.objects.filter(id=own.id).exists()
    CronText.objects.filter(id=changed.id).update(text="another one")
    CronText.objects.filter(id=gone.id).delete()
    found = verified()
    assert [(item.kind, item.event_id) for item in found.findings] == [
        (Kind.TEXT, changed.event_id),
        (Kind.TEXT, gone.event_id),
    ]
    assert "is not what was recorded" in found.findings[0].text
    assert "no event says who removed it" in found.findings[1].text


def test_a_segment_out_of_reach_is_named_and_not_asked_for_in_vain(segments: Path):
    (segments / "segments").rename(segments / "elsewhere")
    with pytest.raises(CommandError, match=r"Segment segments/.* in storage 'segments' is needed"):
        redacted("--cron", "alpha")
    CronText.objects.filter(
        event_id__lte=CronEvent.objects.of_type("slot_fired").first().id
    ).delete()
    redacted("--match", "caf")
    assert CronText.objects.count() == 0
    fire("alpha", 9)
    redacted("--cron", "alpha")
    assert CronText.objects.count() == 0
