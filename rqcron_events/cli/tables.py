"""Rows as commands print them: tables that fit the terminal, JSON, CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import IO, Any
from uuid import UUID

from django.core.management.base import CommandParser
from django.utils.timezone import get_default_timezone
from rich.cells import cell_len

from ..core.wording import duration, shown, shown_time
from .terminal import Terminal, Whole, json_text, page_of
from .width import cut, padded

__all__ = ["Column", "Layout", "add_format", "csv_line", "laid_out", "print_rows"]

FORMULA_BEGINS = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Of a cell, in ASCII and in their wide forms."""
TEXT_CELLS_MIN = 12
NAME_CELLS_MIN = 16
GAP = "  "
NAMES = frozenset({"cron", "name"})
SECONDS = "_seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table. Those that matter most stand first: the last ones are left out where
    there is no room."""

    key: str
    head: str
    cells_min: int = TEXT_CELLS_MIN
    """Where there is no room, a longer text is cut down to so many."""
    middle: bool = False
    """Cut in its middle."""
    right: bool = False
    """Numbers, to be compared."""

    @classmethod
    def of(cls, key: str) -> Column:
        """The usual one for a key of the rows."""
        return cls(
            key=key,
            head=key.removesuffix(SECONDS).replace("_", " "),
            cells_min=NAME_CELLS_MIN if key in NAMES else TEXT_CELLS_MIN,
            middle=key in NAMES,
        )


@dataclass(frozen=True, slots=True)
class Layout:
    """Columns, each with its width."""

    columns: Sequence[tuple[Column, int]]
    mark: str
    """Of what is left out in a cell."""

    def line(self, cells: Sequence[str]) -> str:
        """``cells`` may be more than the columns: the last ones are left out."""
        parts = [
            padded(cut(text, width, self.mark, middle=column.middle), width, right=column.right)
            for (column, width), text in zip(self.columns, cells, strict=False)
        ]
        return GAP.join(parts).rstrip()


def laid_out(columns: Sequence[Column], widths: Sequence[int], cells_max: int, mark: str) -> Layout:
    """Give each column what it asks for (``widths``) as far as there is room.

    First the last columns go, as long as the others do not fit when their texts are cut; then the
    widest texts are cut, so that one long name takes nothing from its neighbours.
    """
    floors = [
        min(width, max(column.cells_min, cell_len(column.head)))
        for column, width in zip(columns, widths, strict=True)
    ]
    kept = len(columns)
    while kept > 1 and sum(floors[:kept]) + len(GAP) * (kept - 1) > cells_max:
        kept -= 1
    room = cells_max - len(GAP) * (kept - 1)
    found = list(widths[:kept])
    while sum(found) > room:
        left = [at for at in range(kept) if found[at] > floors[at]]
        if not left:
            break
        found[max(left, key=found.__getitem__)] -= 1
    return Layout(list(zip(columns, found, strict=False)), mark)


def add_format(parser: CommandParser, *formats: str) -> None:
    """Add ``--format``; the first one given is the default."""
    parser.add_argument(
        "--format", choices=formats, default=formats[0], help=f"default: {formats[0]}"
    )


def print_rows(
    stdout: IO[str] | Any,
    rows: Sequence[dict[str, Any]],
    columns: Sequence[str | Column],
    output_format: str,
    *,
    zone: tzinfo | None = None,
    empty: str = "",
    fields: Sequence[str] = (),
) -> None:
    """Print rows as ``table``, ``json`` or ``csv``.

    ``columns`` are those of the table, or their keys, the most important first; its times are in
    ``zone``, or else in the project's. JSON has all keys. CSV has ``fields`` (default: the keys of
    ``columns``), however many rows there are; times in both are UTC. ``empty`` is what a table says
    when there are no rows.
    """
    page = page_of(stdout)
    known = [Column.of(item) if isinstance(item, str) else item for item in columns]
    if output_format == "json":
        page.write(json_text(rows, default=_machine_text))
    elif output_format == "csv":
        names = fields or [column.key for column in known]
        page.write(csv_line(names))
        page.writelines(csv_line([row.get(name) for name in names]) for row in rows)
    elif rows:
        print_table(page, rows, known, zone or get_default_timezone())
    elif empty:
        page.write(empty + "\n")


def csv_line(values: Sequence[Any]) -> Whole:
    """One line, whatever is in the values. JSON has them unchanged."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([_csv_value(value) for value in values])
    return Whole(line.getvalue())


def _csv_value(value: Any) -> Any:
    if value is None or isinstance(value, (int, float, Decimal)):
        return value
    text = _machine_text(value)
    # A spreadsheet would take it for a formula, and run it; a leading apostrophe says text.
    return f"'{shown(text)}" if text.startswith(FORMULA_BEGINS) else shown(text)


def _machine_text(value: Any) -> str:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)


def print_table(
    page: Terminal, rows: Sequence[dict[str, Any]], columns: Sequence[Column], zone: tzinfo
) -> None:
    """A head, a rule and the rows, none of them wider than the terminal."""
    body = [[page.seen(_text(row.get(c.key), c, zone)) for c in columns] for row in rows]
    heads = [column.head for column in columns]
    widths = [max(map(cell_len, cells)) for cells in zip(heads, *body, strict=True)]
    fitting = [_fitting(column, rows) for column in columns]
    layout = laid_out(fitting, widths, page.table_cells, page.seen("\u2026"))
    page.write(Whole(layout.line(heads) + "\n"))
    used = sum(width for _, width in layout.columns) + len(GAP) * (len(layout.columns) - 1)
    page.write(Whole(page.seen("\u2500") * used + "\n"))
    page.writelines(Whole(layout.line(cells) + "\n") for cells in body)
    left_out = heads[len(layout.columns) :]
    if left_out:
        page.write(f"Hidden at this width: {', '.join(left_out)}.\n")


def _fitting(column: Column, rows: Iterable[dict[str, Any]]) -> Column:
    """Half a number or half a time says nothing: only texts are cut."""
    if any(isinstance(row.get(column.key), (datetime, int, float)) for row in rows):
        return Column(key=column.key, head=column.head, cells_min=10_000, right=column.right)
    return column


def _text(value: Any, column: Column, zone: tzinfo) -> str:
    match value:
        case None | "":
            return "-"
        case datetime():
            return shown_time(value, zone)
        case bool():
            return "yes" if value else "no"
        case UUID():
            return str(value)[:8]  # as much as commands need
        case float() | int() if column.key.endswith(SECONDS):
            return duration(value)
        case float():
            return f"{value:.3f}"
        case _:
            return str(value)
