"""The page of one slot."""

from __future__ import annotations

from django.http import HttpResponse

from ..frame.frame import Frame

__all__ = ["slot_at", "slot_page"]


def slot_at(frame: Frame, cron: str) -> HttpResponse:
    return frame.render("rqcron/page.html", {}, title="Slot")


def slot_page(frame: Frame, cron: str, instant: str) -> HttpResponse:
    return frame.render("rqcron/page.html", {}, title="Slot")
