"""Figures of a range of time."""

from __future__ import annotations

from django.http import HttpResponse

from ..frame.frame import Frame

__all__ = ["report_page"]


def report_page(frame: Frame) -> HttpResponse:
    return frame.render("rqcron/page.html", {}, title="Report")
