"""What is wrong with the tables of the log, for ``manage.py check --database``."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Problem"]


class Problem(NamedTuple):
    """One thing that is not as the migrations made it."""

    check: str
    """The id without the app, such as ``E005``; one that begins with W is a warning."""
    text: str
    """What, with the value."""
    remedy: str
