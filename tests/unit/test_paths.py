"""Tests are where the documents say, and each module of the core has one by its path."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from tests.processes import ROOT

CORE = ROOT / "rqcron_events" / "core"
TESTS = ROOT / "tests"
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("migrations_examples/**/*.md"),
        ROOT / "Makefile",
        ROOT / ".ci" / "run",
    ]
)
MODULES = sorted(path for path in CORE.rglob("*.py") if path.name != "__init__.py")
NAMED = re.compile(r"\btests/[\w/*\[\]-]+(?:\.\w+)?|(?<![\w/])test_\w+(?:\.py|\*)")
CASES = re.compile(r"`(test_\w+)(\*?)`")
"""Functions, as the documents name them; a star for all that begin so."""


def from_root(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def functions() -> frozenset[str]:
    found: set[str] = set()
    for path in TESTS.rglob("test_*.py"):
        found.update(re.findall(r"^ *def (test_\w+)", path.read_text(), re.MULTILINE))
    return frozenset(found)


def is_there(named: str) -> bool:
    if "/" in named:
        return any(ROOT.glob(named))
    if named.endswith("*"):
        return any(name.startswith(named[:-1]) for name in functions())
    return any(TESTS.rglob(named))


@pytest.mark.parametrize("document", DOCUMENTS, ids=from_root)
def test_every_test_that_is_named_is_there(document):
    text = document.read_text()
    assert [named for named in NAMED.findall(text) if not is_there(named)] == []
    cases = [name for name, star in CASES.findall(text) if not star]
    assert [name for name in cases if name not in functions()] == []


@pytest.mark.parametrize("module", MODULES, ids=from_root)
def test_each_module_of_the_core_has_unit_tests_by_its_path(module):
    place = TESTS / "unit" / "core" / module.relative_to(CORE)
    tests = place.with_name(f"test_{module.name}")
    of_package = place.parent.with_name(f"test_{place.parent.name}.py")
    assert tests.is_file() or of_package.is_file(), f"{from_root(module)} has no {from_root(tests)}"
