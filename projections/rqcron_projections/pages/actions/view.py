"""The page that says what an action will do, does it when it is confirmed, and shows what came of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpResponse, HttpResponseRedirect

from rqcron_events.core.codec import NewerEvent
from rqcron_events.errors import CronError
from rqcron_events.ledger import store
from rqcron_events.ledger.backend import backend_of

from ..frame.banner import bring_up_to_date
from ..frame.frame import LOCK_SECONDS_MAX, STATEMENT_SECONDS_MAX, Frame
from ..frame.permissions import Action
from ..story.event_line import event_lines
from .asked import Asked, asked_of
from .backfill import backfill_page
from .foretold import Foretold, foretold
from .plain import actor_of, carry_out, events_of

__all__ = ["action_page"]

TITLES = {
    Action.PAUSE: "Pause",
    Action.RESUME: "Resume",
    Action.TRIGGER: "Run now",
    Action.RERUN: "Rerun",
}
EVENTS_SHOWN_MAX = 200


@transaction.non_atomic_requests  # a job is handed to RQ when its request is committed
def action_page(frame: Frame, action: str) -> HttpResponse:
    """GET says what will happen, POST does it."""
    if action not in list(Action):
        raise Http404(f"There is no action {action!r}.")
    wanted = Action(action)
    if not frame.may(wanted):
        raise PermissionDenied
    if frame.request.method != "POST":
        frame.notes.extend(bring_up_to_date())
    if wanted is Action.BACKFILL:
        return backfill_page(frame)
    if frame.request.method == "POST":
        return _post(frame, wanted)
    if "done" in frame.request.GET:
        return _done(frame, wanted)
    with _bounds():
        asked = asked_of(frame.alias, wanted, frame.request.GET, is_final=False)
        return _page(frame, wanted, asked)


def _post(frame: Frame, action: Action) -> HttpResponse:
    given = frame.request.POST
    with _bounds():
        asked = asked_of(frame.alias, action, given, is_final=True)
        # A time in words is first shown as the instant that it means now.
        if asked.problems or (asked.until is not None and given.get("sure") != "1"):
            return _page(frame, action, asked, is_sure=not asked.problems)
    ids: list[int] = []
    for step in carry_out(action, asked, actor_of(frame.request.user)):
        _take(frame, step, ids)
    if not ids:
        with _bounds():
            return _page(frame, action, asked)
    address = f"{frame.url('action', action.value)}?{urlencode({'done': ids}, doseq=True)}"
    return HttpResponseRedirect(address)


def _take(frame: Frame, step: Callable[[], int | None], ids: list[int]) -> None:
    """One cron's part; what is wrong with it keeps no other from its own."""
    try:
        with _bounds():
            event = step()
    except (CronError, NewerEvent) as error:
        messages.error(frame.request, str(error))
    else:
        ids += [event] if event is not None else []


def _page(frame: Frame, action: Action, asked: Asked, *, is_sure: bool = False) -> HttpResponse:
    told = Foretold()
    if not asked.problems:
        try:
            told = foretold(frame, action, asked)
        except (CronError, NewerEvent) as error:
            asked.problems.append(str(error))
    context = {
        "action": action.value,
        "asked": asked,
        "told": told,
        "is_sure": is_sure,
        "can_act": bool(told) and not told.nothing_to_do,
        "asks_until": action is Action.PAUSE,
        "needs_reason": action is Action.PAUSE,
        "verb": TITLES[action],
    }
    status = 400 if asked.problems and frame.request.method == "POST" else 200
    return frame.render("rqcron/action.html", context, title=_title(action, asked), status=status)


def _title(action: Action, asked: Asked) -> str:
    verb = TITLES[action]
    if action is Action.RERUN:
        return f"{verb} run {str(asked.run)[:8]}" if asked.run else f"{verb} a run"
    if asked.everything:
        return f"{verb} all crons"
    names = [cron.name for cron in asked.crons]
    return f"{verb}: {names[0] if len(names) == 1 else f'{len(names)} crons'}"


def _done(frame: Frame, action: Action) -> HttpResponse:
    """What the log has now, of what this viewer did."""
    texts = frame.request.GET.getlist("done")[:EVENTS_SHOWN_MAX]
    ids = [int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 19]
    with _bounds():
        events = [row.fact() for row in events_of(ids, actor_of(frame.request.user))]
        lines = event_lines(frame, events)
        if not lines:
            raise Http404("There is no such event of yours.")
        return frame.render(
            "rqcron/action_done.html", {"lines": lines}, title=f"{TITLES[action]}: done"
        )


def _bounds() -> AbstractContextManager[object]:
    db = store.connection()
    return backend_of(db).not_waiting(db, LOCK_SECONDS_MAX, STATEMENT_SECONDS_MAX)
