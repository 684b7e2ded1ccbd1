"""The overview: every cron in a row."""

from __future__ import annotations

from django.http import HttpResponse

from ..frame.frame import Frame

__all__ = ["overview"]


def overview(frame: Frame) -> HttpResponse:
    return frame.render("rqcron/page.html", {}, title="Crons")
