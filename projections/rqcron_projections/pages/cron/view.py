"""The page of one cron."""

from __future__ import annotations

from django.http import HttpResponse

from ..frame.frame import Frame

__all__ = ["cron_page"]


def cron_page(frame: Frame, cron: str) -> HttpResponse:
    return frame.render("rqcron/page.html", {}, title="Cron")
