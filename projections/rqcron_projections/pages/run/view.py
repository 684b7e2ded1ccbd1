"""The page of one run."""

from __future__ import annotations

from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import HttpResponse

from rqcron_events.core.codec import NewerEvent
from rqcron_events.errors import CronError, UnknownRun
from rqcron_events.ledger.lookup import stored_name
from rqcron_events.queries.explain import explain_run

from ..frame.frame import Frame
from ..story.told import sees, told

__all__ = ["run_page"]


def run_page(frame: Frame, run: UUID) -> HttpResponse:
    try:
        answer = explain_run(run, texts=frame.sees_runs)
    except (CronError, NewerEvent) as error:
        status = 404 if isinstance(error, UnknownRun) else 200
        context = {"run_id": run, "problem": str(error)}
        return frame.render(
            "rqcron/run_problem.html", context, title=f"Run {str(run)[:8]}", status=status
        )
    context = told(frame, answer, stored_name(answer.cron))
    if frame.request.GET.get("format") == "text":
        if not all(sees(frame)):
            raise PermissionDenied
        return HttpResponse(context["as_text"], content_type="text/plain; charset=utf-8")
    context["run_id"] = run
    return frame.render("rqcron/run.html", context, title=f"Run {str(run)[:8]} of {answer.cron}")
