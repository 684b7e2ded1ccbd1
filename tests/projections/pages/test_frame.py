"""What all pages have: who may see them, in which zone times are, and how they link."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from uuid import UUID

import pytest
from django.test import Client
from django.urls import reverse
from rqcron_projections.pages.frame.links import (
    instant_part,
    name_of,
    name_part,
    page_url,
    parse_instant,
)
from rqcron_projections.pages.urls import PAGES

from tests.projections.pages.past import START, Past

VIEW = "rqcron_projections.view_cronjob"
ARGUMENTS = {
    "cron": ["digest"],
    "slot_at": ["digest"],
    "slot": ["digest", datetime(2026, 3, 2, 9, tzinfo=UTC)],
    "run": [UUID(int=1)],
    "action": ["pause"],
    "event": [1],
}
NAMES = [
    "-part-1-",
    "a/b",
    "a#b?c",
    "..",
    ".",
    "_2F",
    "a b",
    "caf\u00e9 \u20ac",
    "<b>&amp;",
    "%41",
    "x" * 200,
]


def address(page: str) -> str:
    return page_url("admin", page, *ARGUMENTS.get(page, []))


@pytest.mark.parametrize("page", [page.name for page in PAGES])
def test_a_page_asks_for_the_login_and_for_the_permission(page, login):
    assert Client().get(address(page)).status_code == 302
    assert login("auth.view_user").get(address(page)).status_code == 403


def test_the_overview_is_the_change_list_of_crons(login):
    assert address("overview") == reverse("admin:rqcron_projections_cronjob_changelist")
    assert login(VIEW).get(address("overview")).status_code == 200


@pytest.mark.parametrize("name", NAMES)
def test_every_name_fits_into_an_address_and_comes_back(name, login):
    assert name_of(name_part(name)) == name
    path = page_url("admin", "cron", name)
    assert path == reverse("admin:rqcron_cron", args=[name_part(name)])
    assert "/../" not in path and "/./" not in path
    assert "//" not in path
    assert page_url("admin", "slot", name, datetime(2026, 3, 2, 9, tzinfo=UTC)).count(":00") == 2


@pytest.mark.parametrize(
    ("instant", "part"),
    [
        (datetime(2026, 3, 2, 9, tzinfo=UTC), "2026-03-02T09:00:00Z"),
        (datetime(2026, 3, 2, 9, 0, 0, 500_000, tzinfo=UTC), "2026-03-02T09:00:00.500000Z"),
    ],
)
def test_an_instant_in_an_address_is_iso_8601_in_utc(instant, part):
    assert instant_part(instant) == part
    assert parse_instant(part) == instant


@pytest.mark.parametrize(
    "part",
    [
        "",
        "yesterday",
        "2026-03-02T09:00:00",
        "2026-13-02T09:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-12:00",
    ],
)
def test_what_is_no_instant_is_none(part):
    assert parse_instant(part) is None


def test_the_zone_is_chosen_from_a_closed_list_and_kept(login):
    client = login(VIEW)
    response = client.get(address("overview"), {"tz": "utc"})
    assert response.cookies["rqcron_tz"].value == "utc"
    assert 'value="utc" selected' in client.get(address("overview")).content.decode()
    response = client.get(address("overview"), {"tz": "Mars/Olympus"})
    assert "rqcron_tz" not in response.cookies
    assert "Mars" not in response.content.decode()


def test_no_page_has_scripts_or_styles_of_its_own(login):
    client = login()
    for page in PAGES:
        html = client.get(address(page.name)).content.decode()
        assert "style=" not in html, page
        assert "<script>" not in html, page
        assert " onclick" not in html, page


def test_without_djangos_admin_nothing_is_registered_and_nothing_fails():
    code = (
        "import django; from django.conf import settings;"
        "settings.configure(INSTALLED_APPS=['django_rq', 'rqcron_events', 'rqcron_projections'],"
        "RQ_QUEUES={'default': {'URL': 'redis://127.0.0.1:1/0'}},"
        "DATABASES={'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': ':memory:'}});"
        "django.setup(); import sys;"
        "print([name for name in sys.modules if 'rqcron_projections.pages' in name])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_pages_are_at_home_in_any_admin_site(login, settings):
    settings.ROOT_URLCONF = "tests.projections.pages.other_site"
    past = Past()
    past.define("digest")
    past.fire("digest", START)
    past.write()
    client = login(VIEW)
    html = client.get("/backstage/rqcron_projections/cronjob/").content.decode()
    assert 'href="/backstage/rqcron_projections/cronjob/cron/digest/"' in html
    assert '"/admin/' not in html
    assert client.get("/backstage/rqcron_projections/cronjob/cron/digest/").status_code == 200
