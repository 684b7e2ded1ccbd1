"""Log lines for a terminal."""

from __future__ import annotations

import logging

from rqcron_events.process.parent_watch import OneLine


def test_a_log_record_is_one_line_and_its_traceback_is_marked_as_such():
    formatter = OneLine("%(levelname)s %(message)s")
    try:
        raise ValueError("no\nINFO Runner stopped.\x1b[2J")
    except ValueError as error:
        record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "%s", ("a\nb\x1b",), None)
        record.exc_info = (type(error), error, error.__traceback__)
    first, *rest = formatter.format(record).split("\n")
    assert first == r"ERROR a\nb\x1b"
    assert rest
    assert all(line.startswith("  | ") and line.isprintable() for line in rest)
