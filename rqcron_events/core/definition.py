"""What a cron is: its schedule and policies, frozen and serialisable."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Self
from uuid import UUID, uuid5

from .schedule import Schedule, cron_schedule, every_schedule

__all__ = ["Cadence", "CatchUp", "Definition", "Overlap", "Retries", "run_id_for_slot"]

NO_DELAY = timedelta(0)
RUN_NAMESPACE = UUID("5373808b-4939-5a29-9ac2-ef97782f83e2")


class Overlap(StrEnum):
    """What happens to a slot while an earlier run of the cron is still active."""

    ALLOW = "allow"
    """Run beside it, as crond and RQ do."""
    SKIP = "skip"
    """Record the slot as skipped."""
    QUEUE = "queue"
    """Let the newest slot wait until the run ends; older waiting slots are skipped."""


class CatchUp(StrEnum):
    """What happens to slots that came due while nobody decided."""

    LATEST = "latest"
    """The newest fires late; older ones are missed, superseded."""
    ALL = "all"
    """Each fires, up to RQCRON_CATCH_UP_SLOTS_MAX."""
    NONE = "none"
    """None fires: they are missed, too late."""


class Cadence(StrEnum):
    """Names for common schedules, with the meaning that crontab gives ``@daily`` and the like."""

    EVERY_MINUTE = "every_minute"
    EVERY_TEN_MINUTES = "every_ten_minutes"
    HOURLY = "hourly"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"

    @property
    def expression(self) -> str:
        """The cron expression: weeks begin on Sunday at midnight, months on the first."""
        return _CADENCE_EXPRESSIONS[self]


_CADENCE_EXPRESSIONS = {
    Cadence.EVERY_MINUTE: "* * * * *",
    Cadence.EVERY_TEN_MINUTES: "*/10 * * * *",
    Cadence.HOURLY: "0 * * * *",
    Cadence.DAILY: "0 0 * * *",
    Cadence.WEEKLY: "0 0 * * 0",
    Cadence.MONTHLY: "0 0 1 * *",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """RQ's ``Retry`` as plain values."""

    max: int
    """How many tries may follow the first."""
    intervals: tuple[int, ...] = (0,)
    """Seconds before each of them; the last one repeats."""
    enqueue_at_front: bool = False
    """Retries go to the front of the queue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """The whole description of a cron, as it stands in the log. All times in seconds."""

    name: str
    """The stable key: in the log, the name under which it was first registered."""
    function: str
    """``module:qualname`` of the user's function; information only, never imported from here."""
    expression: str | None = None
    """The cron expression, or None when ``every_seconds`` is given."""
    timezone: str = "UTC"
    """IANA zone of the expression, and the one in which times are shown."""
    every_seconds: int | None = None
    """The period, or None when ``expression`` is given."""
    offset_seconds: int = 0
    """Shift of the period from the Unix epoch."""
    queue: str = "default"
    """Name in RQ_QUEUES."""
    description: str = ""
    """One line for people."""
    overlap: Overlap = Overlap.ALLOW
    catch_up: CatchUp = CatchUp.LATEST
    max_lateness_seconds: float | None = None
    """A slot later than this is missed, too late; None: never."""
    jitter_seconds: float = 0
    """Upper bound of the delay added to each slot."""
    max_failures: int | None = None
    """How many runs may fail in a row, for ``cron_health``; None: only a warning."""
    max_age_seconds: float | None = None
    """How long there may be no success, for ``cron_health``; None: for ever."""
    idempotent: bool = False
    """A lost run may be run again without asking."""
    store_result: bool = False
    """Keep a bounded representation of the return value in the log."""
    names: tuple[str, ...] = ()
    """Every name that it has had, the present one last; empty: it was never renamed."""
    disabled: str = ""
    """What disables it: ``enabled=False`` or the name of a setting; empty: its slots fire."""
    retries: Retries | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    """RQ's other job options: timeout, ttl, result_ttl, failure_ttl (seconds), at_front, meta."""

    @property
    def present_name(self) -> str:
        """What the code calls it now."""
        return self.names[-1] if self.names else self.name

    @property
    def renamed_from(self) -> str:
        """What it was called before; empty: it was never renamed."""
        return self.names[-2] if self.names else ""

    @property
    def schedule(self) -> Schedule:
        """The schedule; raises ValueError for a bad expression, zone or period."""
        if self.every_seconds is not None:
            return every_schedule(self.every_seconds, self.offset_seconds)
        return cron_schedule(self.expression or "", self.timezone, self.name)

    @property
    def schedule_text(self) -> str:
        """The schedule as people write it: ``0 9 * * 1-5`` or ``every 15m``."""
        if self.every_seconds is None:
            return self.expression or ""
        return f"every {_short_duration(self.every_seconds)}"

    @property
    def jitter(self) -> timedelta:
        return timedelta(seconds=self.jitter_seconds)

    def delay(self, slot: datetime) -> timedelta:
        """How long after the slot it becomes due: the same for every runner, under the next slot.

        Source of the fraction: SHA-256 of name and slot, so nothing has to be stored.
        """
        if not self.jitter_seconds:
            return NO_DELAY
        bound = self.jitter
        following = self.schedule.next_after(slot)
        if following is not None:
            bound = min(bound, following - slot)
        digest = hashlib.sha256(f"{self.name}\0{slot.timestamp():.0f}".encode()).digest()
        return bound * (int.from_bytes(digest[:6]) / (1 << 48))

    def to_data(self) -> dict[str, Any]:
        """JSON-ready values; only what differs from the defaults, besides name and function."""
        data: dict[str, Any] = {"name": self.name, "function": self.function}
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name in data or value == _DEFAULTS[item.name]:
                continue
            if isinstance(value, Retries):
                value = {
                    "max": value.max,
                    "intervals": list(value.intervals),
                    "enqueue_at_front": value.enqueue_at_front,
                }
            if item.name == "names":
                value = list(value)
            data[item.name] = dict(value) if item.name == "options" else value
        return data

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_data`. Unknown keys of newer writers are ignored.

        Raises ValueError, TypeError or KeyError for what no writer writes: a value of another shape
        would be noticed only later, where it stops more than this cron.
        """
        if not isinstance(data, Mapping):
            raise TypeError(f"the definition is not an object but {type(data).__name__}")
        known = {item.name for item in fields(cls)}
        values = {key: value for key, value in data.items() if key in known}
        for key in values.keys() & _SHAPES.keys():
            _check_shape(key, values[key])
        if "names" in values:
            values["names"] = tuple(values["names"])
            if len(values["names"]) == 1 or not all(isinstance(n, str) for n in values["names"]):
                raise ValueError(f"names of the definition are {values['names']!r}")
        if "overlap" in values:
            values["overlap"] = Overlap(values["overlap"])
        if "catch_up" in values:
            values["catch_up"] = CatchUp(values["catch_up"])
        if values.get("retries"):
            retries = values["retries"]
            values["retries"] = Retries(
                max=retries["max"],
                intervals=tuple(retries["intervals"]),
                enqueue_at_front=retries["enqueue_at_front"],
            )
        return cls(**values)

    def changes_to(self, new: Definition) -> dict[str, list[Any]]:
        """``{field: [old, new]}`` of every field that differs, JSON-ready."""
        before, after = self.to_data(), new.to_data()
        return {
            item.name: [before.get(item.name), after.get(item.name)]
            for item in fields(self)
            if getattr(self, item.name) != getattr(new, item.name)
        }


_DEFAULTS: dict[str, Any] = {
    item.name: getattr(Definition(name="", function=""), item.name) for item in fields(Definition)
}


_SECONDS_MAX = timedelta.max.total_seconds()
_TEXT, _NUMBER = (str,), (int, float)
_SHAPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("name", "function", "timezone", "queue", "description", "disabled"), _TEXT),
    "expression": (*_TEXT, type(None)),
    "every_seconds": (*_NUMBER, type(None)),
    "offset_seconds": _NUMBER,
    "max_lateness_seconds": (*_NUMBER, type(None)),
    "jitter_seconds": _NUMBER,
    "max_failures": (int, type(None)),
    "max_age_seconds": (*_NUMBER, type(None)),
    "idempotent": (bool,),
    "store_result": (bool,),
    "names": (list, tuple),
    "options": (Mapping,),
}


def _check_shape(key: str, value: Any) -> None:
    if not isinstance(value, _SHAPES[key]):
        raise TypeError(f"{key} of the definition is {type(value).__name__}")
    if isinstance(value, (int, float)) and not abs(value) <= _SECONDS_MAX:
        raise ValueError(f"{key} of the definition is {value}, which is not a time")


def run_id_for_slot(cron: str, slot: datetime) -> UUID:
    """The id of the run of a slot: UUIDv5, so that asking twice is asking for the same run."""
    return uuid5(RUN_NAMESPACE, f"{cron}\0{int(slot.timestamp())}")


def _short_duration(seconds: int) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
