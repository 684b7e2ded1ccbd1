"""Lines and tables that fit a terminal."""

from __future__ import annotations

import io
import os
import pty

import pytest

from rqcron_events.cli.tables import Column, laid_out
from rqcron_events.cli.terminal import OwnLines, Terminal, json_text
from rqcron_events.cli.width import CELLS_MIN, cut, known_cells, padded, wrapped


@pytest.mark.parametrize(
    ("text", "cells", "middle", "shown"),
    [
        ("plain", 5, False, "plain"),
        ("plainer", 5, False, "plai~"),
        ("plainer", 5, True, "pl~er"),
        ("\u65e5\u672c\u8a9e", 6, False, "\u65e5\u672c\u8a9e"),
        ("\u65e5\u672c\u8a9e", 5, False, "\u65e5\u672c~"),
        ("\u65e5\u672c\u8a9e", 4, True, "\u65e5~"),
        ("x", 0, False, ""),
    ],
)
def test_a_text_is_cut_to_cells(text: str, cells: int, middle: bool, shown: str) -> None:
    assert cut(text, cells, "~", middle=middle) == shown


def test_a_text_is_padded_to_cells() -> None:
    assert padded("\u65e5", 4) == "\u65e5  "
    assert padded("7", 3, right=True) == "  7"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("one two", ["one two"]),
        ("one two three four", ["one two", "  three four"]),
        ("    one two three", ["    one two", "   three"]),
        ("x" * 25, ["x" * 12, "  " + "x" * 10, "  xxx"]),
        ("\u65e5" * 7 + " one", ["\u65e5" * 6, "  \u65e5 one"]),
        ("one two thre ", ["one two thre"]),
    ],
)
def test_a_line_is_broken_between_words(line: str, shown: list[str]) -> None:
    assert wrapped(line, 12) == shown


@pytest.mark.parametrize(
    ("columns", "cells"),
    [("100", 100), ("1", CELLS_MIN), ("0", None), ("", None), ("wide", None), ("-5", None)],
)
def test_columns_says_how_wide_a_line_is(
    monkeypatch: pytest.MonkeyPatch, columns: str, cells: int | None
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert known_cells(io.StringIO()) == cells


def test_a_terminal_says_it_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl
    import struct
    import termios

    monkeypatch.delenv("COLUMNS", raising=False)
    ours, theirs = pty.openpty()
    try:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 90, 0, 0))
        with os.fdopen(theirs, "w", closefd=False) as screen:
            assert known_cells(screen) == 90
    finally:
        os.close(ours)
        os.close(theirs)


def test_what_is_for_programs_is_never_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    out = io.StringIO()
    page = Terminal(out)
    page.write(json_text({"text": "word " * 20}, indent=None))
    page.write(OwnLines("word " * 10 + "\nend\n"))
    first, second, third, *_ = out.getvalue().splitlines()
    assert len(first) > 100
    assert (second, third) == ("word " * 7 + "word", "  word word ")


def test_the_last_columns_go_first_and_then_the_widest_texts_are_cut() -> None:
    columns = [Column.of(key) for key in ("name", "status", "why", "when")]
    layout = laid_out(columns, [200, 9, 30, 23], 60, "~")
    assert [(column.key, width) for column, width in layout.columns] == [
        ("name", 16), ("status", 9), ("why", 14), ("when", 15),
    ]  # fmt: skip
    line = layout.line(["a" * 100 + "z" * 100, "failing", "because", "now"])
    assert line == "aaaaaaaa~zzzzzzz  failing    because         now"
    assert [column.key for column, _ in laid_out(columns, [200, 9, 30, 23], 45, "~").columns] == [
        "name", "status", "why",
    ]  # fmt: skip
