"""How wide a line may be, and text that fits: measured in cells of a terminal, of which a CJK
character takes two and a combining one none."""

from __future__ import annotations

import os
import re
from typing import Any

from rich.cells import cell_len

__all__ = ["CELLS_MIN", "PIPE_CELLS", "cut", "known_cells", "padded", "wrapped"]

PIPE_CELLS = 200
"""Of a table in a pipe or a file, when COLUMNS says nothing. Sentences are one line there."""
CELLS_MIN = 40
"""A narrower terminal gets lines of this width."""


def known_cells(stream: Any) -> int | None:
    """The width that COLUMNS asks for, or that the terminal has; None for a pipe, a file, a buffer."""
    given = os.environ.get("COLUMNS", "")
    if given.isascii() and given.isdigit() and int(given):
        return max(int(given), CELLS_MIN)
    try:
        if stream.isatty():
            return max(os.get_terminal_size(stream.fileno()).columns, CELLS_MIN)
    except (AttributeError, OSError, ValueError):
        pass
    return None


def cut(text: str, cells: int, mark: str, *, middle: bool = False) -> str:
    """The text in at most ``cells``; ``mark`` stands for what is left out, at its end or in its
    middle, where names of one family differ least.

    >>> cut("billing_of_the_customers", 12, "~"), cut("billing_of_the_customers", 12, "~", middle=True)
    ('billing_of_~', 'billin~omers')
    """
    if cell_len(text) <= cells:
        return text
    room = cells - cell_len(mark)
    if room <= 0:
        return mark[: max(cells, 0)]
    back = room // 2 if middle else 0
    return _begin(text, room - back) + mark + _begin(text[::-1], back)[::-1]


def padded(text: str, cells: int, *, right: bool = False) -> str:
    space = " " * (cells - cell_len(text))
    return space + text if right else text + space


def wrapped(line: str, cells: int) -> list[str]:
    """The line in pieces that fit, broken between words; each further one is indented a bit more.

    >>> wrapped("  WRONG: one two three", 12)
    ['  WRONG: one', '    two', '    three']
    """
    if cell_len(line) <= cells:
        return [line]
    indent = " " * min(len(line) - len(line.lstrip(" ")) + 2, cells // 4)
    found = []
    rest = line
    while cell_len(rest) > cells:
        piece = _begin(rest, cells)
        spaces = [match.start() for match in re.finditer(r"(?<=\S) +", rest[: len(piece) + 1])]
        at = spaces[-1] if spaces else len(piece)
        found.append(rest[:at].rstrip())
        rest = indent + rest[at:].lstrip(" ")
    return [*found, rest] if rest.strip() else found


def _begin(text: str, cells: int) -> str:
    """As much of the beginning as fits."""
    if text.isascii():
        return text[:cells]
    used = 0
    for at, character in enumerate(text):
        used += cell_len(character)
        if used > cells:
            return text[:at]
    return text
