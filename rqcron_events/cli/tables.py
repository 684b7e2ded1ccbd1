"""Rows as commands print them: tables, JSON, CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import IO, Any

from django.core.management.base import CommandParser
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..core.schedule import local_time, zone_or_utc
from ..core.wording import shown
from .terminal import json_text

__all__ = ["add_format", "csv_line", "print_rows"]

FORMULA_BEGINS = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Of a cell, in ASCII and in their wide forms."""
TABLE_COLUMNS_MAX = 100_000
"""Nothing is cut or folded: a long line that the terminal wraps is easier to read than twelve
columns of four characters, and a pipe gets whole values."""


def add_format(parser: CommandParser, *formats: str) -> None:
    """Add ``--format``; the first one given is the default."""
    parser.add_argument(
        "--format", choices=formats, default=formats[0], help=f"default: {formats[0]}"
    )


def print_rows(
    stdout: IO[str] | Any,
    rows: Sequence[dict[str, Any]],
    columns: Sequence[str],
    output_format: str,
    *,
    timezone: str = "UTC",
    empty: str = "",
    fields: Sequence[str] = (),
) -> None:
    """Print rows as ``table``, ``json`` or ``csv``.

    ``columns`` are the keys that the table shows; JSON and CSV have all keys, with times in UTC.
    The table shows times in the row's own ``timezone``, or else in the one given. ``empty`` is
    what a table says when there are no rows, and ``fields`` the head of a CSV then, where it is not
    that of the table.
    """
    if output_format == "json":
        stdout.write(json_text(rows, default=_machine_text))
    elif output_format == "csv":
        _print_csv(stdout, rows, fields or columns)
    elif rows:
        _print_table(stdout, rows, columns, timezone)
    elif empty:
        stdout.write(empty + "\n")


def _print_csv(stdout: Any, rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    stdout.write(csv_line(list(rows[0]) if rows else columns))
    for row in rows:
        stdout.write(csv_line(list(row.values())))


def csv_line(values: Sequence[Any]) -> str:
    """One line, whatever is in the values. JSON has them unchanged."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([_csv_value(value) for value in values])
    return line.getvalue()


def _csv_value(value: Any) -> Any:
    if isinstance(value, (dict, list)):
        return shown(json.dumps(value, ensure_ascii=False, default=_machine_text))
    if value is None or isinstance(value, (int, float, Decimal)):
        return value
    text = _machine_text(value)
    # A spreadsheet would take it for a formula, and run it; a leading apostrophe says text.
    return f"'{shown(text)}" if text.startswith(FORMULA_BEGINS) else shown(text)


def _machine_text(value: Any) -> str:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)


def _print_table(
    stdout: Any, rows: Sequence[dict[str, Any]], columns: Sequence[str], timezone: str
) -> None:
    table = Table(box=SIMPLE_HEAD, header_style="none", pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column.replace("_", " "), no_wrap=True)
    for row in rows:
        zone = str(row.get("timezone") or timezone)
        table.add_row(*[Text(_table_text(row.get(column), zone)) for column in columns])
    page = io.StringIO()
    # force_terminal wins over FORCE_COLOR and the like: no escape codes, in pipes or elsewhere.
    Console(file=page, force_terminal=False, width=TABLE_COLUMNS_MAX).print(table)
    for line in page.getvalue().splitlines():
        stdout.write(line.rstrip() + "\n")


def _table_text(value: Any, timezone: str) -> str:
    match value:
        case None:
            return "-"
        case datetime():
            return local_time(value, zone_or_utc(timezone)).strftime("%Y-%m-%d %H:%M:%S %Z")
        case float():
            return f"{value:.3f}"
        case _:
            return shown(value)
