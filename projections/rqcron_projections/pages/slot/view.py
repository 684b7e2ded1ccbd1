"""The page of one slot, or of any other instant."""

from __future__ import annotations

from datetime import datetime

from django.core.exceptions import PermissionDenied
from django.http import HttpResponse, HttpResponseRedirect

from rqcron_events.cli.times import parse_instant as read_instant
from rqcron_events.core.codec import NewerEvent
from rqcron_events.core.explain.explanation import Explanation, Verdict
from rqcron_events.core.wording import shower_in
from rqcron_events.errors import CronConfigError, CronError
from rqcron_events.ledger.lookup import stored_name
from rqcron_events.queries.explain import explain

from ..frame.frame import Frame
from ..frame.links import name_of, parse_instant
from ..story.called import Called, called
from ..story.told import sees, told

__all__ = ["slot_at", "slot_page"]


def slot_at(frame: Frame, cron: str) -> HttpResponse:
    """What people type, in words too: leads to the page of that instant. Nothing: the last slot."""
    name = stored_name(name_of(cron))
    text = frame.request.GET.get("at", "").strip()
    try:
        at = read_instant(text, "Time", cron=name) if text else _last_slot(name)
    except CronConfigError as error:
        return _problem(frame, name, str(error), status=400, text=text)
    except (CronError, NewerEvent) as error:
        return _problem(frame, name, str(error))
    return HttpResponseRedirect(frame.url("slot", name, at))


def slot_page(frame: Frame, cron: str, instant: str) -> HttpResponse:
    name, at = stored_name(name_of(cron)), parse_instant(instant)
    if at is None:
        what = f"{instant!r} is not an instant. Give one such as 2026-03-02T09:00:00Z."
        return _problem(frame, name, what, status=404, text=instant)
    try:
        answer = explain(name, at, texts=frame.sees_runs)
    except (CronError, NewerEvent) as error:
        return _problem(frame, name, str(error), at=at)
    if answer.verdict is Verdict.UNKNOWN_CRON:
        return _problem(frame, name, answer.summary, status=404, at=at)
    context = told(frame, answer, name)
    if frame.request.GET.get("format") == "text":
        if not all(sees(frame)):
            raise PermissionDenied
        return HttpResponse(context["as_text"], content_type="text/plain; charset=utf-8")
    return frame.render("rqcron/slot.html", context, title=_title(frame, answer))


def _title(frame: Frame, answer: Explanation) -> str:
    zone = frame.zones.of(answer.definition.timezone if answer.definition else "")
    return f"{answer.cron} at {shower_in(zone)(answer.at)}"


def _last_slot(name: str) -> datetime:
    answer = explain(name)
    return answer.slot or answer.at


def _problem(
    frame: Frame,
    name: str,
    problem: str,
    *,
    status: int = 200,
    at: datetime | None = None,
    text: str = "",
) -> HttpResponse:
    """Nothing can be said: why, and the way on."""
    known = called(frame.alias, [name]).get(name) or Called(name, name)
    context = {"cron": name, "called": known.name, "problem": problem, "at": at, "text": text}
    return frame.render("rqcron/slot_problem.html", context, title=known.name, status=status)
