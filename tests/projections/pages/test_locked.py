"""Pages while somebody else holds what they read: they answer, and say so."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from html import unescape

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from tests.processes import database_url
from tests.projections.pages.past import START, Past

ANSWER_SECONDS_MAX = 30
HELD = "Another transaction holds its table"


@pytest.fixture
def postgresql() -> None:
    """Not collected on SQLite, which is a file."""


@pytest.fixture
def overview(postgresql: None, transactional_db: None) -> Callable[[str], tuple[int, str]]:
    """``overview("rqcron_job")``: its status and text while that table is locked."""
    past = Past()
    past.define("digest")
    past.fire("digest", START)
    past.write()
    client = Client()
    client.force_login(User.objects.create_superuser("ada"))

    def ask() -> HttpResponse:
        try:
            return client.get(reverse("admin:rqcron_overview"))
        finally:
            connections.close_all()

    def ask_while_locked(table: str) -> tuple[int, str]:
        thread = ThreadPoolExecutor(1)
        with locked(table):
            try:
                response = thread.submit(ask).result(ANSWER_SECONDS_MAX)
            finally:
                thread.shutdown(wait=False)
        html = response.content.decode()
        return response.status_code, " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())

    return ask_while_locked


@contextmanager
def locked(table: str) -> Iterator[None]:
    with psycopg.connect(database_url()) as other:
        other.execute(f"LOCK TABLE {table}")
        yield
        other.rollback()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("rqcron_lease", f"Whether crons run is not known. {HELD}"),
        ("rqcron_checkpoint", f"The projections are not up to date. {HELD}"),
    ],
)
def test_a_part_that_is_locked_is_told_and_hides_no_cron(overview, table, words):
    status, text = overview(table)
    assert (status, words in text, "digest" in text) == (200, True, True)


def test_where_all_that_is_to_be_shown_is_locked_the_page_says_so(overview):
    status, text = overview("rqcron_job")
    assert (status, HELD in text) == (503, True)
