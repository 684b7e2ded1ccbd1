"""The tables in Django's admin: to be read, and bounded whatever the log's length."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from rqcron_projections import models as projections
from rqcron_projections.pages import read_only
from rqcron_projections.projector import catch_up

from rqcron_events import models as events
from tests.projections.histories import append, history

TABLES = [
    events.CronEvent,
    events.CronLease,
    events.QuarantinedEvent,
    projections.Checkpoint,
    projections.CronDay,
    projections.CronRun,
    projections.CronStatusChange,
    projections.RunnerSession,
]


def address(model, page: str, *args) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


@pytest.fixture
def some_rows(db: None) -> None:
    append(history(seed=3, steps=400))
    catch_up()
    at = datetime(2026, 3, 2, 9, tzinfo=UTC)
    events.CronLease.objects.create(name="leader", holder="one", renewed_at=at)
    events.QuarantinedEvent.objects.create(
        reader="runner", event_id=7, stream="cron/a", cron="a", error="<b>\u202e", noticed_at=at
    )


def test_every_table_is_shown_and_so_is_each_row(login, some_rows):
    client = login()
    for model in TABLES:
        assert client.get(address(model, "changelist")).status_code == 200, model
        page = client.get(address(model, "change", model._default_manager.first().pk))
        assert page.status_code == 200, model
        assert 'name="_save"' not in page.content.decode(), model


def test_nobody_changes_a_row_by_hand(login, some_rows):
    client: Client = login()
    for model in TABLES:
        row, count = model._default_manager.first(), model._default_manager.count()
        for page, posted in (
            (address(model, "add"), {}),
            (address(model, "change", row.pk), {"reason": "x"}),
            (address(model, "delete", row.pk), {"post": "yes"}),
        ):
            assert client.post(page, posted).status_code == 403, page
        assert model._default_manager.count() == count


def test_each_needs_the_permission_to_view_that_table(login, db):
    other = login("rqcron_projections.view_cronjob")
    for model in TABLES:
        assert other.get(address(model, "changelist")).status_code == 403, model


def test_all_tables_of_people_are_in_the_admin():
    registered = {model for model in admin.site._registry if model._meta.app_label.startswith("rq")}
    assert registered == {*TABLES, projections.CronJob}


def test_rows_are_not_counted_to_the_end(login, some_rows, monkeypatch):
    monkeypatch.setattr(read_only, "ROWS_COUNTED_MAX", 60)
    with CaptureQueriesContext(
        connection,
    ) as seen:
        page = login().get(address(events.CronEvent, "changelist"))
    assert page.context["cl"].result_count == 60
    counts = [query["sql"] for query in seen if "COUNT(*)" in query["sql"]]
    assert counts
    assert all("LIMIT 60" in sql for sql in counts), counts


def test_what_others_wrote_is_shown_and_not_run(login, some_rows):
    html = login().get(address(events.QuarantinedEvent, "changelist")).content.decode()
    assert "&lt;b&gt;" in html
    assert "<b>" not in html
    assert "\u202e" not in html


def test_a_search_finds_the_whole_name_of_a_cron(login, some_rows):
    name = events.CronEvent.objects.exclude(cron="").first().cron
    client = login()
    found = client.get(address(events.CronEvent, "changelist"), {"q": name}).context["cl"]
    assert found.result_count == events.CronEvent.objects.filter(cron=name).count()
    assert (
        client.get(address(events.CronEvent, "changelist"), {"q": name[:4]})
        .context["cl"]
        .result_count
        == 0
    )
