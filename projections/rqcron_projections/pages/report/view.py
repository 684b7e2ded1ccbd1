"""Figures of a range of time: what the command ``cron_report`` says, with plots and downloads."""

from __future__ import annotations

from io import StringIO
from typing import Any, get_args
from urllib.parse import urlencode

from django.http import HttpResponse

from rqcron_events.cli.tables import print_rows
from rqcron_events.cli.terminal import json_text
from rqcron_events.core.wording import shower_in

from ...report.flat import fields, flat_rows
from ...report.tallies import By
from ...retention.kept import archived_words
from ..frame.banner import Note
from ..frame.frame import Frame
from ..frame.rows_end import note_where_rows_end
from .asked import SORTS, Asked, asked_of, ranges
from .found import Found, find, first_instant, whole_report
from .rows import COLUMNS

__all__ = ["report_page"]


def report_page(frame: Frame) -> HttpResponse:
    asked = asked_of(frame.request.GET, frame.now)
    wanted = frame.request.GET.get("format")
    problem, found = asked.problem, None
    try:
        if wanted in ("csv", "json") and not problem:
            return _download(frame, asked, wanted)
        found = find(asked, frame.now, messages=frame.sees_runs)
    except ValueError as error:  # TooMuch, or what report() says of the range
        problem = f"{problem} {error}".strip()
    context: dict[str, Any] = {
        "asked": asked,
        "problem": problem,
        "groups": get_args(By),
        "ranges": [(text, _query(since_until, asked)) for text, since_until in ranges(frame.now)],
        "found": found,
    }
    if found is not None:
        note_where_rows_end(frame, first_instant(asked.since))
        if found.decisions_archived_until is not None:
            show = shower_in(frame.zones.of())
            text = archived_words(found.decisions_archived_until, show)
            frame.notes.append(Note(text, is_fault=False))
        context |= _rows(found, asked)
    return frame.render("rqcron/report.html", context, title="Report")


def _rows(found: Found, asked: Asked) -> dict[str, Any]:
    page = asked.page
    return {
        "before": _query({"page": str(page - 1)}, asked, keep=True) if page > 1 else "",
        "after": _query({"page": str(page + 1)}, asked, keep=True) if found.more else "",
        "csv": _query({"format": "csv"}, asked, keep=True),
        "json": _query({"format": "json"}, asked, keep=True),
        "columns": [
            (head, _query({"sort": name}, asked, keep=True) if name in SORTS else "")
            for name, head in COLUMNS
        ],
        "sorted_by": dict(COLUMNS).get(asked.sort, ""),
        "plain_columns": [(head, "") for _name, head in COLUMNS],
    }


def _query(parameters: dict[str, str], asked: Asked, *, keep: bool = False) -> str:
    """The end of an address of this page, with the range as it is or another one."""
    others = {"by": asked.by, "cron": asked.texts["cron"], "sort": asked.sort}
    if keep:
        others |= {"since": asked.texts["since"], "until": asked.texts["until"]}
    found = {name: value for name, value in (others | parameters).items() if value}
    return "?" + urlencode(found)


def _download(frame: Frame, asked: Asked, wanted: str) -> HttpResponse:
    """The whole report, as the command gives it: it may take its time."""
    found = whole_report(asked, messages=frame.sees_runs)
    text: str
    if wanted == "json":
        text, kind = json_text(found.to_data()), "application/json"
    else:
        written = StringIO()
        print_rows(written, flat_rows(found), fields(found), "csv")
        text, kind = written.getvalue(), "text/csv; charset=utf-8"
    response = HttpResponse(text, content_type=kind)
    name = f"cron-report-by-{asked.by}.{wanted}"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
