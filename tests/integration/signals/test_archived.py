"""A follower that stands before what is archived: after months without a runner, or from an old copy."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rqcron_projections.models import Checkpoint
from rqcron_projections.signals.checkins import follow as checkin_follow
from rqcron_projections.signals.models import CheckIn

from rqcron_events.models import CronEvent
from tests.archive_pass import archive_all, use_archive
from tests.sealing import fire, history


@pytest.fixture
def left_behind(settings, tmp_path) -> Callable[[str], None]:
    """``left_behind("alerts")``: what that follower read last is in the archive, and so is what came after it."""
    use_archive(settings, tmp_path / "segments")

    def leave(name: str) -> None:
        history("beta", runs=4)
        archive_all()
        assert not CronEvent.objects.filter(id=2).exists()
        updated = Checkpoint.objects.filter(name=name).update(position=1, marks=[])
        assert updated == 1

    return leave


def at_the_end(name: str) -> bool:
    newest = CronEvent.objects.order_by("id").last()
    return Checkpoint.objects.get(name=name).position == newest.id


def test_alerts_begin_anew(left_behind, alerts, followed):
    """By what fails now; what happened meanwhile is history."""
    alerts({"failing": {"runs": 1}, "missed": {}})
    history("alpha", runs=2)
    assert followed() == [("failing", "alpha", "opened")]
    left_behind("alerts")
    assert followed() == [("failing", "beta", "opened"), ("failing", "last", "opened")]
    assert at_the_end("alerts")
    assert followed() == []


def test_check_ins_begin_anew(left_behind, checkins, service, sent):
    checkins(cronitor={"kind": "cronitor", "url": service.root, "api_key": "k"})
    left_behind("checkins")
    CheckIn.objects.all().delete()
    checkin_follow.follow()
    assert not CheckIn.objects.exists()
    assert at_the_end("checkins")
    fire("beta", 9)
    checkin_follow.follow()
    assert CheckIn.objects.exists()


def test_traces_begin_anew(left_behind, spans):
    left_behind("traces")
    assert spans.follow() == []
    assert at_the_end("traces")
    fire("beta", 9)
    assert spans.follow()
