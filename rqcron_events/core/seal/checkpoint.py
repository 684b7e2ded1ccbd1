"""What is signed: how many leaves there are, and their root (C2SP tlog-checkpoint)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import NamedTuple, Self

from .note import NoteRefused, Verifier, opened

__all__ = ["Checkpoint"]


class Checkpoint(NamedTuple):
    """A statement about a log."""

    origin: str
    """Which log: the name of its key."""
    size: int
    """How many leaves, from the first one."""
    root: bytes

    @property
    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def of(cls, text: str) -> Self:
        """Raises NoteRefused, a ValueError, for what is no checkpoint."""
        lines = text.split("\n")
        if len(lines) < 4 or "" in lines[:-1] or lines[-1]:
            raise NoteRefused("it is no checkpoint: origin, size and root are three lines")
        origin, size, root = lines[:3]
        digits = size.isascii() and size.isdigit() and str(int(size[:20])) == size
        try:
            decoded = base64.b64decode(root, validate=True)
        except (binascii.Error, ValueError):
            decoded = b""
        if not digits or len(decoded) != 32:
            raise NoteRefused("it is no checkpoint: its size or its root cannot be read")
        return cls(origin, int(size), decoded)

    @classmethod
    def opened(cls, note: str, keys: Iterable[Verifier], origin: str) -> Self:
        """Out of a note that one of the keys signed, about this log. Raises NoteRefused."""
        found = cls.of(opened(note, keys))
        if found.origin != origin:
            raise NoteRefused(f"it is about the log {found.origin!r}, and this one is {origin!r}")
        return found
