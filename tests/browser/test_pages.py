"""Each page, as people meet it: bright or dark, wide or narrow, without JavaScript."""

from __future__ import annotations

import pytest

from tests.browser.conftest import NARROW, WIDE, Site

PAGES = [*Site("", "", "", "", "", "").pages()]
BEYOND_THE_EDGE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(
    ("viewport", "scheme"), [(WIDE, "light"), (NARROW, "dark")], ids=["wide_light", "narrow_dark"]
)
def test_axe_finds_nothing_and_nothing_is_beyond_the_edge(
    name, viewport, scheme, site: Site, visit, violations
):
    page = visit(site.pages()[name], viewport=viewport, color_scheme=scheme)
    assert violations(page) == []
    assert page.evaluate(BEYOND_THE_EDGE) <= 0


@pytest.mark.parametrize("name", PAGES)
def test_it_works_without_javascript(name, site: Site, visit):
    page = visit(site.pages()[name], java_script_enabled=False)
    assert page.get_by_role("heading", level=1).count() == 1
    assert page.get_by_role("navigation", name="Cron pages").is_visible()
    assert page.locator("#content table, #content dl, #content ul").count() > 0
