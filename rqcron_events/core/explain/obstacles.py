"""What keeps crons from running at this moment, as one list that all answers are made of. Pure.

``cron_health``, ``cron_list``, ``cron_explain`` and ``cron_reconcile`` say the same because they say this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from operator import itemgetter
from typing import Any
from uuid import UUID

from ..interventions.pauses import Pause
from ..wording import shown

__all__ = ["Obstacle", "ObstacleKind", "as_things_stand", "concerning", "concerning_each"]


class ObstacleKind(StrEnum):
    NO_RUNNER = "no_runner"
    """Nobody decides."""
    REDIS_AWAY = "redis_away"
    """A Redis does not answer: its jobs wait."""
    NO_WORKER = "no_worker"
    """No worker serves a queue that crons need."""
    WORKER_DIED = "worker_died"
    """A worker fell silent without a word; others serve its queues."""
    SUSPENDED = "suspended"
    """``rq suspend``: workers take no job."""
    NO_SCHEDULER = "no_scheduler"
    """A retry is overdue, and nobody brings it back into its queue."""
    ALL_PAUSED = "all_paused"
    PAUSED = "paused"
    DISABLED = "disabled"
    """By its code, or by the settings."""
    CLOCK_SKEWED = "clock_skewed"
    """The clock of a runner is wrong: it decides nothing."""
    UNREADABLE = "unreadable"
    """Events or the definition of the cron cannot be read: nobody can decide it."""
    CODE_DIFFERS = "code_differs"
    """The code of this process is not what the log has in force."""
    CODE_BROKEN = "code_broken"
    """The cron's module does not import here, or its options are wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """One thing that stands in the way of some crons, or of all."""

    kind: ObstacleKind
    text: str
    """A clause for people: no capital letter, no full stop."""
    remedy: str = ""
    """What to do: whole sentences, or nothing."""
    since: datetime | None = None
    """As far as anything tells."""
    queue: str = ""
    """The one that it is about; empty: all."""
    crons: frozenset[str] | None = None
    """Those that it is about; None: all (of the queue)."""
    is_fault: bool = True
    """False for what people wanted, or what is worth knowing and stops nothing."""
    retries: Mapping[UUID, str] = field(default_factory=dict)
    """Runs whose retry nobody brings back, and what to say of each: without its article."""
    workers: frozenset[str] = frozenset()
    """Who died."""
    pause: Pause | None = None
    """Where the obstacle is one."""

    @property
    def sentence(self) -> str:
        is_command = self.text.startswith("cron_")
        first = self.text[0] if is_command else self.text[0].upper()
        return f"{first}{self.text[1:]}.{' ' * bool(self.remedy)}{self.remedy}"

    def concerns(self, cron: str, queue: str) -> bool:
        return (self.crons is None or cron in self.crons) and self.queue in ("", queue)

    def to_data(self) -> dict[str, Any]:
        since = self.since.astimezone(UTC).isoformat() if self.since else None
        return {"kind": self.kind.value, "text": self.text, "since": since}


def as_things_stand(found: Iterable[Obstacle]) -> str:
    """What keeps a slot or a run from going on, in one sentence, or nothing."""
    told = "; ".join(shown(obstacle.text) for obstacle in found)
    return f"As things stand, {told}." if told else ""


def concerning(found: Iterable[Obstacle], cron: str, queue: str) -> list[Obstacle]:
    """Those that stand in the way of this cron."""
    return [obstacle for obstacle in found if obstacle.concerns(cron, queue)]


def concerning_each(
    found: Sequence[Obstacle], queues: Mapping[str, str]
) -> dict[str, list[Obstacle]]:
    """The same for each of many crons, which are given with their queues: most obstacles of a
    thousand are about one cron, so not every pair is looked at."""
    of_many: list[tuple[int, Obstacle]] = []
    of_one: dict[str, list[tuple[int, Obstacle]]] = {}
    for place, obstacle in enumerate(found):
        if obstacle.crons is None:
            of_many.append((place, obstacle))
        for name in obstacle.crons or ():
            of_one.setdefault(name, []).append((place, obstacle))
    by_cron: dict[str, list[Obstacle]] = {}
    for cron, queue in queues.items():
        either = sorted([*of_many, *of_one.get(cron, [])], key=itemgetter(0))
        by_cron[cron] = concerning((obstacle for _, obstacle in either), cron, queue)
    return by_cron
