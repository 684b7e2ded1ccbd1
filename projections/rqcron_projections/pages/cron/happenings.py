"""What happened around the slots: pauses, times without a runner, deploys, other definitions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

from rqcron_events.core.interventions.pauses import Pause
from rqcron_events.core.wording import Show, duration, pause_words
from rqcron_events.ledger import store

from ...models import RunnerSession, SessionEnd
from .history import History, Version
from .window import Window

__all__ = ["Happening", "happenings"]

SESSIONS_MAX = 500
"""Of runners: within the window, and before it."""
GAP_MIN = timedelta(seconds=30)
"""A shorter time without a runner is a restart."""
CALLS_MIN = 10
"""So many sessions that were short are calls of a runner that comes and goes."""
SESSION_SHORT = timedelta(minutes=1)
GAPS_USUAL = 3
"""Between such calls, a gap is one that is so many times as long as others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """A moment, or a stretch of time."""

    kind: str
    """``schedule``, ``deploy``, ``paused``, ``no runner`` or ``asked for``: its lane."""
    start: datetime
    end: datetime | None = None
    """Of a stretch; None: it is a moment, or goes on."""
    is_stretch: bool = False
    words: str
    url: str = ""
    """Where there is more of it; empty: the table of what happened."""


def happenings(
    history: History, all_pauses: Sequence[Pause], window: Window, now: datetime, show: Show
) -> list[Happening]:
    """Those that lie in the window, in order. Two queries."""
    found: list[Happening] = []
    for version in history.versions:
        if window.start <= version.at < window.end:
            words = _version_words(version)
            url = f"#version-{version.number}"
            found.append(Happening(kind="schedule", start=version.at, words=words, url=url))
    for pauses, what in ((history.pauses, ""), (all_pauses, "all crons ")):
        found += [
            Happening(
                kind="paused",
                start=pause.since,
                end=pause.until,
                is_stretch=True,
                words=f"{what}{pause_words(pause, show)}",
            )
            for pause in pauses
            if pause.since < window.end and (pause.until is None or pause.until > window.start)
        ]
    found += _of_runners(window, now)
    return sorted(found, key=lambda item: item.start)


def _version_words(version: Version) -> str:
    fields = ", ".join(
        f"{change.field} {change.old} \u2192 {change.new}" for change in version.changes
    )
    what = f"{version.what} by {version.event.actor or 'somebody'}"
    return f"version {version.number}: {what}{': ' if fields else ''}{fields}"


def _of_runners(window: Window, now: datetime) -> Iterator[Happening]:
    rows = RunnerSession.objects.using(store.connection().alias)
    before = rows.filter(started_at__lt=window.start).order_by("-started_at")[:SESSIONS_MAX]
    inside = rows.filter(started_at__gte=window.start, started_at__lt=window.end)
    sessions = [*list(before)[::-1], *inside.order_by("started_at")[:SESSIONS_MAX]]
    yield from _deploys(sessions, window)
    yield from _without_runner(sessions, window, now)


def _deploys(sessions: Sequence[RunnerSession], window: Window) -> Iterator[Happening]:
    code = ""
    for session in sessions:
        is_new = bool(session.code) and session.code != code
        if is_new and code and session.started_at >= window.start:
            words = f"{session.runner} started with other code ({session.code[:12]})"
            yield Happening(kind="deploy", start=session.started_at, words=words)
        code = session.code or code


def _without_runner(
    sessions: Sequence[RunnerSession], window: Window, now: datetime
) -> Iterator[Happening]:
    """Between the end of all sessions so far and the start of the next."""
    until = min(window.end, now)
    gaps: list[tuple[datetime, datetime | None, RunnerSession]] = []
    last: RunnerSession | None = None
    for session in sessions:
        if last is not None and last.ended_at is not None:
            if session.started_at - last.ended_at > GAP_MIN:
                gaps.append((last.ended_at, session.started_at, last))
            elif session.ended_at is not None and session.ended_at < last.ended_at:
                continue
        if last is None or last.ended_at is not None:
            last = session
    if last is not None and last.ended_at is not None and until - last.ended_at > GAP_MIN:
        gaps.append((last.ended_at, None, last))
    usual = _usual_gap(sessions)
    for start, end, session in gaps:
        taken = (end or until) - start
        if (end or until) <= window.start or start >= until or taken <= usual:
            continue
        how = "fell silent" if session.ended == SessionEnd.LOST else "stopped"
        words = f"for {duration(round(taken.total_seconds()))}: {session.runner} {how}"
        yield Happening(kind="no runner", start=start, end=end, is_stretch=True, words=words)


def _usual_gap(sessions: Sequence[RunnerSession]) -> timedelta:
    """Where the runner is a command that is called now and then, nobody is missed in between."""
    short = [
        item
        for item in sessions
        if item.ended_at and item.ended_at - item.started_at < SESSION_SHORT
    ]
    if len(short) < CALLS_MIN or 2 * len(short) < len(sessions):
        return timedelta(0)
    every = median((b.started_at - a.started_at).total_seconds() for a, b in pairwise(short))
    return timedelta(seconds=GAPS_USUAL * every)
