"""Each page, as people meet it: bright or dark, wide or narrow, without JavaScript."""

from __future__ import annotations

import pytest

from tests.browser.conftest import NARROW, WIDE, Site

PAGES = [*Site("", "", "", "", "", "").pages()]
ALIKE = {
    "cron_that_was_edited", "slot_paused", "slot_missed", "log_of_a_cron", "report_of_instants",
    "report_with_a_mistake", "load_to_come", "resume", "trigger",
}  # fmt: skip
"""Pages made of what others have, too: looked at once each."""
LOOKS = [
    *((name, NARROW, "dark") for name in PAGES),
    *((name, WIDE, "light") for name in PAGES if name not in ALIKE),
]
BEYOND_THE_EDGE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.mark.parametrize(
    ("name", "viewport", "scheme"),
    LOOKS,
    ids=[f"{name}-{viewport['width']}-{scheme}" for name, viewport, scheme in LOOKS],
)
def test_axe_finds_nothing_and_nothing_is_beyond_the_edge(
    name, viewport, scheme, site: Site, visit, violations
):
    page = visit(site.pages()[name], viewport=viewport, color_scheme=scheme)
    assert violations(page) == []
    assert page.evaluate(BEYOND_THE_EDGE) <= 0


@pytest.mark.parametrize("name", [name for name in PAGES if name not in ALIKE])
def test_it_works_without_javascript(name, site: Site, visit):
    page = visit(site.pages()[name], java_script_enabled=False)
    assert page.get_by_role("heading", level=1).count() == 1
    assert page.get_by_role("navigation", name="Cron pages").is_visible()
    assert page.locator("#content table, #content dl, #content ul").count() > 0
