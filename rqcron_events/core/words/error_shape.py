"""What messages of one kind have in common, so that a thousand failures are one line."""

from __future__ import annotations

import re

__all__ = ["message_shape"]

LOOKED_AT_CHARACTERS_MAX = 300
SHAPE_CHARACTERS_MAX = 120

_PARTS = re.compile(
    r"(?P<uuid>\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b)"
    r"""|(?P<text>"[^"\n]*"|(?<!\w)'[^'\n]*'(?!\w))"""
    r"|(?P<hex>\b0x[0-9a-f]+\b|\b(?=[0-9a-f]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{8,}\b)"
    r"|(?P<number>\d+(?:[.,]\d+)*)",
    re.IGNORECASE,
)


def message_shape(message: str) -> str:
    """The message with its numbers, hexadecimal numbers, UUIDs and quoted strings replaced.

    >>> message_shape("order 4711 of 'ann' failed after 3.5 s at 0x7f3a")
    'order <number> of <text> failed after <number> s at <hex>'
    """
    shape = _PARTS.sub(lambda found: f"<{found.lastgroup}>", message[:LOOKED_AT_CHARACTERS_MAX])
    return " ".join(shape.split())[:SHAPE_CHARACTERS_MAX]
