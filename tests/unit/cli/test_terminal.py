"""One write is one line."""

from __future__ import annotations

import io
import json

import pytest

from rqcron_events.cli.tables import csv_line
from rqcron_events.cli.terminal import OwnLines, Terminal, encodable, json_text


@pytest.fixture
def page() -> io.StringIO:
    return io.StringIO()


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        ("a line", "a line\n"),
        ("a line\n", "a line\n"),
        ("two\nlines\n", "two\\nlines\n"),
        ("\x1b[2J\x07", "\\x1b[2J\\x07\n"),
        (OwnLines("two\nlines\n"), "two\nlines\n"),
        (OwnLines("two\n\x1blines"), "two\n\\x1blines\n"),
        ("", "\n"),
        ("\n", "\n"),
    ],
)
def test_a_write_is_one_line_unless_its_newlines_are_our_own(page, written, seen):
    Terminal(page).write(written)
    assert page.getvalue() == seen


def test_lines_are_written_one_by_one(page):
    Terminal(page).writelines(["a\rb\n", "c"])
    assert page.getvalue() == "a\\rb\nc\n"


TRUE = {"text\u202e": "\x1b\x7f\x85\u2028\ud800\U000e0001\xe9\xa0\n"}


def test_json_shows_what_cannot_be_seen_and_keeps_its_value():
    text = json_text(TRUE)
    assert json.loads(text) == TRUE
    assert all(character.isprintable() or character in "\n\xa0" for character in text)
    assert "\xe9" in text


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-x", "'-x"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\\t=1"),
        ("\r=1", "'\\r=1"),
        ("\uff1d1", "'\uff1d1"),
        (-1, "-1"),
        (-1.5, "-1.5"),
        (None, ""),
        ("a\nb", "a\\nb"),
        ("plain", "plain"),
    ],
)
def test_a_cell_of_a_spreadsheet_is_text_or_a_number_and_one_line(value, cell):
    assert csv_line([value]).removesuffix("\n").strip('"') == cell


@pytest.mark.parametrize(
    ("encoding", "seen"),
    [
        ("utf-8", "caf\u00e9 \u2500\u2026 \u2713 \U0001f600\n"),
        ("latin-1", "caf\u00e9 -... \\u2713 \\ud83d\\ude00\n"),
        ("ascii", "caf\\u00e9 -... \\u2713 \\ud83d\\ude00\n"),
    ],
)
def test_what_an_encoding_lacks_is_plain_or_an_escape(encoding, seen):
    raw = io.BytesIO()
    page = io.TextIOWrapper(raw, encoding=encoding, newline="\n")
    Terminal(page).write("caf\u00e9 \u2500\u2026 \u2713 \U0001f600")
    page.flush()
    assert raw.getvalue().decode(encoding) == seen


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_has_the_true_text_in_every_encoding(encoding):
    raw = io.BytesIO()
    page = io.TextIOWrapper(raw, encoding=encoding, newline="\n")
    value = ["caf\u00e9 \u2500\u2026", {"\u2713": "\U0001f600"}]
    Terminal(page).write(json_text(value))
    page.flush()
    assert json.loads(raw.getvalue().decode(encoding)) == value


def test_ascii_is_not_looked_at_twice():
    assert encodable("plain", "no such encoding") == "plain"
