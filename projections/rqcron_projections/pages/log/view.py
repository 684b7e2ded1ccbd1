"""The log, filtered."""

from __future__ import annotations

from django.http import HttpResponse

from ..frame.frame import Frame

__all__ = ["log_page", "log_tail"]


def log_page(frame: Frame) -> HttpResponse:
    return frame.render("rqcron/page.html", {}, title="Log")


def log_tail(frame: Frame) -> HttpResponse:
    return frame.render("rqcron/page.html", {}, title="Log")
