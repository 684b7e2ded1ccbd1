"""The log, filtered, and one event of it."""

from __future__ import annotations

from collections.abc import Sequence

from django.http import Http404, HttpResponse, JsonResponse
from django.template.loader import render_to_string

from rqcron_events.core.events import EventType
from rqcron_events.errors import LogWentBack, PositionArchived

from ..frame.frame import Frame
from ..frame.rows_end import note_where_log_begins
from ..story.event_line import EventLine, event_lines
from .question import GROUPS, question_of
from .search import LOOKED_AT_MAX, Found, Line, begin, line_of, newer_than, search

__all__ = ["event_page", "log_page", "log_tail"]

LIVE_SECONDS = 5
"""Between two looks of a page without JavaScript."""


def log_page(frame: Frame) -> HttpResponse:
    question = question_of(frame.request.GET)
    live = frame.request.GET.get("live") == "1" and not (question.before or question.problems)
    position = begin() if live else 0  # before the search: what comes meanwhile is for the tail
    found = Found(lines=[], older=None)
    if not question.problems:
        found = search(question.wanted, question.before)
        if found.older is None:
            note_where_log_begins(frame, question.wanted.since)
    context = {
        "question": question,
        "values": question.values,
        "groups": [(key, words) for key, (words, _) in GROUPS.items()],
        "types": [(item.value, item.value.replace("_", " ")) for item in EventType],
        "lines": event_lines(frame, found.lines),
        "found": found,
        "looked_at": f"{LOOKED_AT_MAX:,}",
        "older": question.parameters_before(found.older) if found.older else "",
        "newest": question.parameters,
        "position": position,
        "live": live,
        "live_seconds": LIVE_SECONDS,
    }
    return frame.render(
        "rqcron/log.html", context, title="Log", status=400 if question.problems else 200
    )


def log_tail(frame: Frame) -> HttpResponse:
    """What is new behind ``?after=``, for the page to put on top: rows of its table, newest first."""
    question = question_of(frame.request.GET)
    text = frame.request.GET.get("after", "")
    if question.problems or not (text.isascii() and text.isdigit()) or int(text) >= 2**63:
        return JsonResponse({"problem": "Reload the page."}, status=400)
    try:
        lines, position = newer_than(int(text), question.wanted)
    except (LogWentBack, PositionArchived) as error:
        return JsonResponse({"problem": str(error)}, status=409)
    return JsonResponse({"position": position, "rows": _rows(frame, lines)})


def _rows(frame: Frame, lines: Sequence[Line]) -> str:
    shown = event_lines(frame, reversed(lines))
    return "".join(
        render_to_string("rqcron/story/event.html", {"frame": frame, "line": line}, frame.request)
        for line in shown
    )


def event_page(frame: Frame, event: int) -> HttpResponse:
    """One event: in words, and each column as it is stored."""
    row = line_of(event)
    if row is None:
        raise Http404(f"No event has the id {event}.")
    line: EventLine = event_lines(frame, [row])[0]
    return frame.render("rqcron/event.html", {"line": line}, title=f"Event {event}")
