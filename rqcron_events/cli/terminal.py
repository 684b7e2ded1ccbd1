"""What a command writes, safe to show: the one door to a terminal, a pipe or a file.

A text that users, errors or Redis contributed to may hold anything. A newline in it would begin a
line that looks like ours, an ESC would speak to the terminal, a bidi control would turn the line
around. So one write is one line, and whatever cannot be seen in it becomes a visible escape. A line that is
wider than the terminal is broken between words.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.core.management.base import OutputWrapper

from ..core.wording import is_seen, shown
from .width import PIPE_CELLS, known_cells, wrapped

__all__ = ["OwnLines", "Terminal", "Whole", "encodable", "json_text", "page_of"]


class OwnLines(str):
    """Text whose newlines are the command's own."""

    __slots__ = ()


class Whole(OwnLines):
    """For programs, or made to fit: no line of it is broken, nothing in it replaced by something plainer."""

    __slots__ = ()


PLAIN = {"\u2500": "-", "\u2501": "-", "\u2026": "...", "\u2192": "->"}
"""For terminals and pipes that cannot take what we draw ourselves."""


class Terminal(OutputWrapper):
    """A command's stdout or stderr."""

    def write(  # type: ignore[override]
        self,
        msg: str = "",
        style_func: Callable[[str], str] | None = None,
        ending: str | None = None,
    ) -> None:
        """One line, with or without its newline; :class:`OwnLines` may be several.

        Where the width is known, a wider line continues below, except for what is :class:`Whole`.
        """
        if isinstance(msg, OwnLines):
            text = "\n".join(map(shown, msg.split("\n")))
        else:
            ended = msg.endswith("\n")
            text = shown(msg[:-1] if ended else msg) + "\n" * ended
        whole = isinstance(msg, Whole)
        text = encodable(text, self.codec, {} if whole else PLAIN)
        cells = None if whole else known_cells(self._out)
        if cells is not None:
            text = "\n".join(part for line in text.split("\n") for part in wrapped(line, cells))
        super().write(text, style_func, ending)

    @property
    def codec(self) -> str:
        """Of PYTHONIOENCODING, or of the locale."""
        return getattr(self._out, "encoding", None) or "utf-8"

    @property
    def table_cells(self) -> int:
        """How wide a table may be."""
        return known_cells(self._out) or PIPE_CELLS

    def seen(self, text: object) -> str:
        """What will be on the screen of a text that is not ours."""
        return encodable(shown(text), self.codec)

    def writelines(self, lines: Iterable[str]) -> None:  # type: ignore[override]
        for line in lines:
            self.write(line)


def page_of(stdout: Any) -> Terminal:
    """A command's stdout is one; what else has ``write`` becomes one."""
    return stdout if isinstance(stdout, Terminal) else Terminal(stdout)


def json_text(
    data: Any, *, indent: int | None = 2, default: Callable[[Any], Any] | None = None
) -> OwnLines:
    """JSON with the true values: what cannot be seen is in it as ``\\uXXXX``.

    >>> json_text("caf\\u00e9 \\u202e", indent=None)
    '"café \\\\u202e"'
    """
    text = json.dumps(data, indent=indent, ensure_ascii=False, default=default)
    if not all(map(str.isprintable, text.split("\n"))):
        text = "".join(_json_character(character) for character in text)
    return Whole(text + "\n")


def encodable(text: str, encoding: str, plain: Mapping[str, str] = PLAIN) -> str:
    """The text in characters that the encoding has: plain ones, or else ``\\uXXXX``, which in JSON is
    the same text.

    >>> encodable("\u2500 caf\u00e9 \u2713", "latin-1")
    '- café \\u2713'
    """
    if text.isascii() or _fits(text, encoding):
        return text
    return "".join(
        one if _fits(one, encoding) else plain.get(one) or json.dumps(one)[1:-1] for one in text
    )


def _fits(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _json_character(character: str) -> str:
    if character == "\n" or is_seen(character):
        return character
    return json.dumps(character)[1:-1] if character != "\x7f" else "\\u007f"
