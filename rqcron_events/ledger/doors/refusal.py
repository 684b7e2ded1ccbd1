"""Why a database does not take an insert; each backend reads it out of its own errors."""

from __future__ import annotations

from enum import Enum, auto

__all__ = ["Refusal"]


class Refusal(Enum):
    """What follows for the caller is in ``insert``."""

    VERSION_TAKEN = auto()
    """Another writer appended this version of the stream first."""
    ID_TAKEN = auto()
    """The database hands out ids that exist, or has none left: no event can be appended."""
    EVENT = auto()
    """A value or a constraint: the same event will be refused again, others will not."""
