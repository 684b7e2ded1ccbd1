"""Rows of the release before become those that this one writes, and can go back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.apps.registry import Apps
from django.db import OperationalError, ProgrammingError, connection
from django.db.migrations.executor import MigrationExecutor
from rqcron_projections.cron_total import MEASURES, CronTotal
from rqcron_projections.models import CronDay
from rqcron_projections.projector import broken, catch_up
from rqcron_projections.replay.rebuild import check

from tests.projections.histories import append, history

BEFORE, NOW = "0014_kept_from", "0015_leaner_rows"

pytestmark = pytest.mark.django_db(transaction=True)


def migrate(name: str) -> Apps:
    return MigrationExecutor(connection).migrate([("rqcron_projections", name)]).apps


@pytest.fixture(autouse=True)
def tables_of_this_release() -> Iterator[None]:
    yield
    migrate(NOW)


def rows() -> list[object]:
    return [
        list(CronTotal.objects.order_by("cron").values()),
        list(CronDay.objects.order_by("key").values()),
        shown(),
    ]


def shown() -> list[object]:
    """By the view, in which nobody sees how counts are written."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM rqcron_day_bucket_v ORDER BY 1, 2, 3, 4")
        return list(cursor.fetchall())


def test_rows_are_the_same_there_and_back() -> None:
    append(history(1, 300))
    catch_up()
    before = rows()
    assert all(before)
    apps = migrate(BEFORE)
    for total in apps.get_model("rqcron_projections", "CronTotal").objects.all():
        assert len(total.duration_counts) == 14, "a list again"
    for day in apps.get_model("rqcron_projections", "CronDay").objects.all():
        for text in (getattr(day, f"{measure}_histogram") for measure in MEASURES):
            lowest, _, digits = text.partition(":")
            assert text == "" or (lowest.isdecimal() and digits and len(digits) % 10 == 0)
    assert shown() == before[2]
    migrate(NOW)
    assert rows() == before
    assert check(["days"]) == []


def test_who_has_other_tables_waits_and_sets_nothing_aside() -> None:
    """In a deploy, whichever of code and tables comes first."""
    append(history(1, 100))
    catch_up()
    migrate(BEFORE)
    append(history(2, 100))
    with pytest.raises((OperationalError, ProgrammingError)):
        list(CronDay.objects.all())
    catch_up()
    assert "days" in broken()
    migrate(NOW)
    catch_up()
    assert not broken()
    assert check(["days"]) == []
