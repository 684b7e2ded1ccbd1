"""When the herds are."""

from __future__ import annotations

from django.http import HttpResponse

from ..frame.frame import Frame

__all__ = ["load_page"]


def load_page(frame: Frame) -> HttpResponse:
    return frame.render("rqcron/page.html", {}, title="Load")
