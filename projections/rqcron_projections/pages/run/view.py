"""The page of one run."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse

from ..frame.frame import Frame

__all__ = ["run_page"]


def run_page(frame: Frame, run: UUID) -> HttpResponse:
    return frame.render("rqcron/page.html", {}, title="Run")
