"""What stands in the way of each of many crons."""

from __future__ import annotations

import pytest

from rqcron_events.core.explain.obstacles import (
    Obstacle,
    ObstacleKind,
    concerning,
    concerning_each,
)

QUEUES = {f"cron_{number}": f"queue_{number % 3}" for number in range(200)}


def obstacle(text: str, queue: str = "", *crons: str) -> Obstacle:
    names = frozenset(crons) or None
    return Obstacle(kind=ObstacleKind.CODE_DIFFERS, text=text, queue=queue, crons=names)


OBSTACLES = [
    *(obstacle(f"of {name}", "", name) for name in QUEUES),
    obstacle("of all"),
    obstacle("of a queue", "queue_1"),
    obstacle("of two", "", "cron_1", "cron_2"),
    obstacle("of one in a queue that is not its own", "queue_2", "cron_1"),
    obstacle("of nobody here", "", "cron_x"),
]


def test_each_cron_has_what_it_has_by_itself_in_the_same_order() -> None:
    assert concerning_each(OBSTACLES, QUEUES) == {
        cron: concerning(OBSTACLES, cron, queue) for cron, queue in QUEUES.items()
    }


def test_not_every_pair_of_a_cron_and_an_obstacle_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked = []
    concerns = Obstacle.concerns

    def noted(self: Obstacle, cron: str, queue: str) -> bool:
        looked.append(cron)
        return concerns(self, cron, queue)

    monkeypatch.setattr(Obstacle, "concerns", noted)
    concerning_each(OBSTACLES, QUEUES)
    assert len(looked) < 5 * len(QUEUES)
