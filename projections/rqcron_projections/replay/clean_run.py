"""How a replay folds runs without incident: several in one step, instead of four events each.

The items of a page stand for the events of one cron, in their order. Where nothing else happened to
the cron, a stretch of runs is one item; where something did while a run was open, the run is two
items, at the places of its first and of its last event. What they leave behind must be what
``apply`` leaves of the events: the tests compare both over random histories.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any, NamedTuple

from rqcron_events.core.clean_run.run import CLEAN_TYPES, CleanRun
from rqcron_events.core.codec import Unreadable
from rqcron_events.core.events import Event
from rqcron_events.ledger import store
from rqcron_events.ledger.reading import readable
from rqcron_events.ledger.run_pages import RunPage
from rqcron_events.seals.segments import rows_between

__all__ = [
    "CleanEnd",
    "CleanRun",
    "Item",
    "Page",
    "page_of_events",
    "page_without",
    "pages_of_archive",
    "pages_of_others",
    "pages_of_runs",
]


class CleanEnd(NamedTuple):
    """The place of a run's last event; the run itself stands for its first one."""

    run: CleanRun


Item = Event | CleanRun | CleanEnd | list[CleanRun]
"""A list is a stretch: runs one after the other, each over before the next one begins."""


class Page(NamedTuple):
    """A part of the log."""

    clean: Sequence[CleanRun]
    """Runs that begin here, in no order."""
    others: Sequence[Event]
    """Events that belong to none, in their order."""
    by_cron: Mapping[str, Sequence[Item]]
    """All of it that is about a cron, in the order of the log for each: what projections with a
    CleanFold read, instead of the others."""
    events: int
    """How many that are; a clean run counts where it begins."""
    position: int
    """Id of the last event, or a later one up to which there is nothing else."""
    unreadable: Sequence[Unreadable] = ()
    """Events that are in none of these because they cannot be read."""


def pages_of_runs(pages: Iterable[RunPage]) -> Iterator[Page]:
    """Pages of the ledger with everything in its place."""
    later: list[tuple[int, Any]] = []
    """What belongs behind the page, by its id."""
    for clean, rows, runs, position in pages:
        others, unreadable = readable(store.connection(), rows)
        places: list[tuple[int, Any]] = [
            *later,
            *[(event.id or 0, event) for event in others],
            *[(run.first_id, run) for run in clean],
            *[(run.last_id, CleanEnd(run)) for run in clean],
        ]
        places.sort(key=itemgetter(0))
        here = len(places)
        while here and places[here - 1][0] > position:
            here -= 1
        by_cron = _by_cron([item for _, item in places[:here]])
        later = [*_put_off(by_cron, places[here:]), *places[here:]]
        events = len(others) + len(CLEAN_TYPES) * runs
        yield Page(clean, others, by_cron, events, position, unreadable)


def pages_of_others(pages: Iterable[RunPage]) -> Iterator[Page]:
    """The same for a projection that folds no clean runs."""
    for _, rows, runs, position in pages:
        others, unreadable = readable(store.connection(), rows)
        events = len(others) + len(CLEAN_TYPES) * runs
        yield Page((), others, {}, events, position, unreadable)


def _put_off(
    by_cron: Mapping[str, list[Item]], ends: Iterable[tuple[int, CleanEnd]]
) -> Iterator[tuple[int, CleanRun]]:
    """Take out the runs that are open at the end of the page, if nothing follows them there: they
    begin in the next page just as well, and in one piece with their end."""
    for _, end in ends:
        items = by_cron.get(end.run.cron, [])
        while items and isinstance(items[-1], CleanRun):
            run = items[-1]
            items.pop()
            yield run.first_id, run


def page_of_events(
    events: Sequence[Event], position: int, unreadable: Sequence[Unreadable] = ()
) -> Page:
    return Page((), events, _by_cron(events), len(events), position, unreadable)


def pages_of_archive(after: int, until: int, size: int) -> Iterator[Page]:
    """All archived events with ``after < id <= until``. Raises SegmentUnavailable."""
    if after >= until:
        return
    rows = rows_between(after, until)
    while page := list(islice(rows, size)):
        found = readable(store.connection(), page)
        yield page_of_events(found.events, page[-1][0], found.unreadable)


def page_without(page: Page, event_ids: Collection[int]) -> Page:
    """The page, but for these events."""

    def kept(item: Item) -> bool:
        return not isinstance(item, Event) or item.id not in event_ids

    by_cron = {cron: list(filter(kept, items)) for cron, items in page.by_cron.items()}
    return page._replace(others=list(filter(kept, page.others)), by_cron=by_cron)


def _by_cron(places: Sequence[Event | CleanRun | CleanEnd]) -> dict[str, list[Item]]:
    found: dict[str, list[Item]] = {}
    for item in places:
        if not isinstance(item, CleanEnd):
            if item.cron:
                found.setdefault(item.cron, []).append(item)
            continue
        run = item.run
        items = found.setdefault(run.cron, [])
        last = items[-1] if items else None
        if last is not run:
            items.append(item)  # something happened while it was open
            continue
        items.pop()
        before = items[-1] if items else None
        if isinstance(before, list):
            before.append(run)
        else:
            items.append([run])
    return found
