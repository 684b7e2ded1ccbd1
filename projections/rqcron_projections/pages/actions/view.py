"""The page that asks for an action, and carries it out."""

from __future__ import annotations

from django.http import HttpResponse

from ..frame.frame import Frame

__all__ = ["action_page"]


def action_page(frame: Frame, action: str) -> HttpResponse:
    return frame.render("rqcron/page.html", {}, title="Action")
