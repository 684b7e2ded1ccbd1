"""Times, durations, names, links and marks, as every page shows them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from rqcron_events.core import wording
from rqcron_events.core.schedule import local_time

from ..pages.drawing.marks import Fate
from ..pages.frame.frame import Frame
from ..pages.frame.links import instant_part
from ..pages.frame.zones import ZoneChoice

__all__ = ["register"]

register = template.Library()


@register.filter
def shown(text: object) -> str:
    """Text of others in one line, in which nothing is hidden; the template escapes it."""
    return wording.shown(text)


@register.filter
def shown_lines(text: object) -> str:
    """The same for a text of many lines, such as a traceback."""
    return "\n".join(map(wording.shown, str(text).split("\n")))


@register.filter
def words(value: object) -> str:
    """A constant as people say it: without underscores."""
    return str(value).replace("_", " ")


@register.filter
def iso(value: datetime) -> str:
    """An instant for an address."""
    return instant_part(value)


@register.filter
def second_after(value: datetime) -> datetime:
    """The end of a range that has this slot only: slots are whole seconds."""
    return value + timedelta(seconds=1)


@register.filter
def duration(seconds: float | None) -> str:
    return "" if seconds is None else wording.duration(seconds)


@register.simple_tag(takes_context=True)
def page_url(context: dict[str, Any], page: str, *parts: str | datetime | UUID | int) -> str:
    """``{% page_url "slot" cron.name instant %}``"""
    frame: Frame = context["frame"]
    return frame.url(page, *parts)


@register.simple_tag(takes_context=True)
def instant(
    context: dict[str, Any], value: datetime | None, zone: str = "", style: str = "full"
) -> SafeString | str:
    """``{% instant value cron.timezone %}``: in the zone that the viewer chose. ``style="time"``
    leaves out the date."""
    if value is None:
        return ""
    frame: Frame = context["frame"]
    local = local_time(value, frame.zones.of(zone))
    seconds = ":%S" if local.second or style == "exact" else ""
    date = "" if style == "time" else "%Y-%m-%d "
    text = f"{local:{date}%H:%M{seconds}} {local.tzname()}"
    browser = "rqcron-time" if frame.zones.choice is ZoneChoice.BROWSER else ""
    return format_html(
        '<time datetime="{}" title="{} UTC" class="{}" data-style="{}">{}</time>',
        instant_part(value),
        f"{value:%Y-%m-%d %H:%M:%S}",
        browser,
        style,
        text,
    )


@register.inclusion_tag("rqcron/parts/mark.html")
def mark(fate: Fate, url: str = "", label: str = "") -> dict[str, Any]:
    """``{% mark slot.fate slot.url slot.label %}``"""
    return {"fate": fate, "url": url, "label": label}
