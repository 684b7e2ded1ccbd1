"""A database that was restored from a backup older than what others were told."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from rqcron_events import clock
from rqcron_events.models import CronEvent, CronSeal, CronTile, SealProgress
from rqcron_events.queries.seals import look_at_seals
from rqcron_events.seals import courier
from tests.sealing import KEY, fire, history, seal
from tests.went_back import go_back

KINDS = ("file", "storage")


@pytest.fixture(params=KINDS)
def receivers(request: pytest.FixtureRequest, settings: Any, tmp_path: Path) -> dict[str, Any]:
    """One of a place that can be read."""
    place = str(tmp_path / "outside")
    settings.STORAGES = {
        **settings.STORAGES,
        "bucket": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": place},
        },
    }
    kinds = {
        "file": {"kind": "file", "path": place},
        "storage": {"kind": "storage", "storage": "bucket", "prefix": "a"},
    }
    settings.RQCRON_SEAL_RECEIVERS = {"outside": kinds[request.param]}
    return dict(settings.RQCRON_SEAL_RECEIVERS)


def tell(receivers: dict[str, Any]) -> bool:
    seal()
    return courier.deliver("outside", receivers["outside"])


def older_copy(receivers: dict[str, Any]) -> int:
    """Restored: ten minutes of events are gone, with all that was noted since; the id of the newest event."""
    history("alpha")
    assert tell(receivers)
    newest = CronEvent.objects.last().id
    kept = [list(model.objects.all()) for model in (CronSeal, CronTile, SealProgress)]
    fire("alpha", 3)
    fire("alpha", 4)
    assert tell(receivers)
    go_back(newest)
    for rows in kept:
        type(rows[0]).objects.all().delete()
        type(rows[0]).objects.bulk_create(rows)
    return newest


def verified() -> tuple[str, int]:
    out = io.StringIO()
    try:
        call_command("cron_verify", stdout=out)
    except SystemExit as end:
        return out.getvalue(), int(str(end.code))
    return out.getvalue(), 0


def problems(minutes: float = 0) -> list[str]:
    return look_at_seals(clock.now() + timedelta(minutes=minutes)).problems


def test_cron_verify_asks_the_receivers_by_itself(receivers: dict[str, Any]) -> None:
    history("alpha")
    tell(receivers)
    told, code = verified()
    assert code == 0, told
    assert "1 new seals and 1 from outside agree" in told
    assert "This does not prove" not in told


def test_cron_verify_finds_it_before_anything_else_happens(receivers: dict[str, Any]) -> None:
    older_copy(receivers)
    told, code = verified()
    assert code == 1
    assert "the log went back, as after a restored backup" in told
    assert any("the log went back" in text or "missing" in text for text in problems())


def test_health_says_it_with_the_first_seal_and_not_minutes_later(
    receivers: dict[str, Any],
) -> None:
    older_copy(receivers)
    fire("beta", 1)
    assert not tell(receivers)
    (problem,) = problems()
    assert problem.startswith(
        "Receiver 'outside' knows another log: it knows 17 events, and only 14"
    )


def test_it_is_said_also_when_the_log_has_grown_past_what_others_know(
    receivers: dict[str, Any],
) -> None:
    older_copy(receivers)
    for number in range(1, 6):
        fire("beta", number)
    assert not tell(receivers)
    (problem,) = problems()
    assert "Receiver 'outside' knows another log: its checkpoint of 17 events is not of" in problem
    told, code = verified()
    assert code == 1
    assert "is about other events than the first 17 of the log" in told or "not what was" in told


def test_a_new_place_is_the_way_on(
    receivers: dict[str, Any], settings: Any, tmp_path: Path
) -> None:
    older_copy(receivers)
    fire("beta", 1)
    assert not tell(receivers)
    assert verified()[1] == 1
    fresh = {"fresh": {"kind": "file", "path": str(tmp_path / "fresh")}}
    settings.RQCRON_SEAL_RECEIVERS = fresh
    assert courier.deliver("fresh", fresh["fresh"])
    told, code = verified()
    assert code == 0, told
    assert problems() == []


def test_a_receiver_that_cannot_be_asked_is_named_and_is_no_finding(
    settings: Any, tmp_path: Path
) -> None:
    history("alpha")
    seal()
    settings.RQCRON_SEAL_RECEIVERS = {
        "bucket": {"kind": "storage", "storage": "nowhere"},
        "hook": {"kind": "webhook", "url": "https://example.org/"},
        "new": {"kind": "file", "path": str(tmp_path / "new")},
    }
    told, code = verified()
    assert code == 0
    assert "Receiver 'bucket' was not asked: InvalidStorageError." in told
    assert "hook" not in told
    assert "'new'" not in told


def test_what_is_kept_by_a_stranger_is_no_checkpoint_of_ours(
    receivers: dict[str, Any], tmp_path: Path
) -> None:
    history("alpha")
    tell(receivers)
    for file in (tmp_path / "outside").rglob("checkpoint"):
        file.write_text("example.org/other\n1\nAAAA\n\n— x y\n")
    told, code = verified()
    assert code == 1
    assert "Checkpoint of receiver 'outside': " in told
    assert KEY.secret_text()[-20:] not in told
