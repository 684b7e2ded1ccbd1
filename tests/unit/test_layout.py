"""The house keeps its measures: small rooms, each with a word at its door."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import ROOT

SOURCES = ("rqcron_events", "projections/rqcron_projections")
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
MODULES_PER_PACKAGE_MAX = 14
WITHOUT_DOCSTRING = ("migrations",)
NOT_OURS = {"mail/crons.py"}


def files() -> list[Path]:
    return [path for source in SOURCES for path in sorted((ROOT / source).rglob("*.py"))]


def functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield node.name, node.end_lineno - node.lineno + 1


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", files(), ids=named)
def test_a_file_fits_in_the_head_and_a_function_on_a_screen(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= FILE_LINES_MAX
    assert {name: lines for name, lines in functions(path) if lines > FUNCTION_LINES_MAX} == {}


@pytest.mark.parametrize("package", sorted({path.parent for path in files()}), ids=named)
def test_a_package_is_small_and_says_what_lives_in_it(package: Path) -> None:
    # Where Django wants each in a file of its own, and where none may go.
    if package.name not in ("commands", "migrations"):
        assert len(list(package.glob("*.py"))) - 1 <= MODULES_PER_PACKAGE_MAX
    text = (package / "__init__.py").read_text()
    if package.name not in WITHOUT_DOCSTRING:
        assert ast.get_docstring(ast.parse(text)), (
            "what lives here, what it imports, where to start"
        )


@pytest.mark.parametrize(
    "page", sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("docs/*.md")), ids=named
)
def test_a_page_names_files_that_exist(page: Path) -> None:
    written = set(re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.py)`", page.read_text()))
    roots = (
        ROOT,
        ROOT / "rqcron_events",
        ROOT / "projections",
        ROOT / "projections/rqcron_projections",
    )
    assert {
        name for name in written if not any((root / name).exists() for root in roots)
    } <= NOT_OURS
