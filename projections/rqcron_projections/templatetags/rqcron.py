"""Times, durations, names, links and marks, as every page shows them."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django import template
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString

from rqcron_events.core import wording
from rqcron_events.core.schedule import local_time

from ..pages.drawing.marks import Fate
from ..pages.frame.frame import Frame
from ..pages.frame.links import django_rq_queue_url, instant_part
from ..pages.frame.zones import ZoneChoice
from ..pages.slots.entries import Entry

__all__ = ["register"]

register = template.Library()


@register.filter
def shown(text: object) -> str:
    """Text of others in one line, in which nothing is hidden; the template escapes it."""
    return wording.shown(text)


@register.simple_tag
def queue_link(queue: str) -> SafeString:
    """A queue, linked to its jobs in django-rq's own pages where these are served."""
    url, text = django_rq_queue_url(queue), wording.shown(queue)
    return format_html('<a href="{}">{}</a>', url, text) if url else escape(text)


@register.filter
def duration(seconds: object) -> str:
    """Empty for what is not there."""
    return wording.duration(seconds) if isinstance(seconds, int | float) else ""


@register.filter
def add_up(value: float, more: float) -> float:
    """Places in a drawing: Django's ``add`` is for whole numbers and text."""
    return round(value + more, 1)


@register.filter
def about(seconds: object) -> str:
    """A duration where there is little room: ``340 ms``, ``5.8 min``, ``1.6 h``."""
    if not isinstance(seconds, int | float):
        return ""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds * 1000:.0f} ms"


@register.simple_tag(takes_context=True)
def page_url(context: dict[str, Any], page: str, *parts: str | datetime | UUID | int) -> str:
    """``{% page_url "slot" cron.name instant %}``"""
    frame: Frame = context["frame"]
    return frame.url(page, *parts)


@register.simple_tag(takes_context=True)
def instant(
    context: dict[str, Any], value: datetime | None, zone: str = "", style: str = "full"
) -> SafeString | str:
    """``{% instant value cron.timezone %}``: in the zone that the viewer chose. ``style``: "full",
    "exact" (seconds, even where they are zero), "short" (weekday and day) or "time"."""
    if value is None:
        return ""
    frame: Frame = context["frame"]
    local = local_time(value, frame.zones.of(zone))
    seconds = ":%S" if local.second or style == "exact" else ""
    date = {"time": "", "short": "%a %d %b "}.get(style, "%Y-%m-%d ")
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


@register.simple_tag(takes_context=True)
def relative(context: dict[str, Any], value: datetime | None) -> str:
    """``in 5 min`` or ``2 d 3 h ago``, by the two largest units."""
    if value is None:
        return ""
    frame: Frame = context["frame"]
    seconds = (value - frame.now).total_seconds()
    whole = round(abs(seconds))
    if not whole:
        return "now"
    if whole < 60:
        words = f"{whole} s"
    else:
        words = " ".join(wording.duration(whole - whole % 60).split()[:4])
    return f"in {words}" if seconds > 0 else f"{words} ago"


_SHAPE = (
    '<svg class="rqcron-shape rqcron-{0}" viewBox="0 0 20 20" width="20" height="20"'
    ' aria-hidden="true" focusable="false"><use href="#rqcron-shape-{0}"/>'
    '<text x="10" y="14.5" text-anchor="middle">{1}</text></svg>'
)
# Five hundred marks stand on a page: they are put together without Django's format_html, which takes as long
# as the rest of the row. What others wrote goes through html.escape.
_LINK = (
    '<a class="rqcron-mark" href="{2}" title="{3}" data-rqcron-mark>'
    f'{_SHAPE}<span class="rqcron-hidden">{{3}}</span></a>'
)
_PLAIN = f'<span class="rqcron-mark">{_SHAPE}</span>'


@register.simple_tag
def mark(fate: Fate, url: str = "", label: str = "") -> SafeString:
    """``{% mark slot.fate slot.url slot.label %}``; without a label its word stands beside it."""
    if url:
        return SafeString(
            _LINK.format(fate.value, fate.letter, html.escape(url), html.escape(shown(label)))
        )
    return SafeString(_PLAIN.format(fate.value, fate.letter))


@register.simple_tag(takes_context=True)
def strip(
    context: dict[str, Any], cron: str, zone: str, entries: Sequence[Entry]
) -> SafeString | str:
    """The newest slots of a cron, oldest first, each a link to its page."""
    frame: Frame = context["frame"]
    slots, show = frame.url("slot_at", cron), wording.shower_in(frame.zones.of(zone))
    if not entries:
        return "no slot yet"
    items = SafeString(
        "".join(f"<li>{_linked(entry, slots, show)}{_count(entry.count)}</li>" for entry in entries)
    )
    return format_html(
        '<ol class="rqcron-strip" aria-label="Newest slots of {}, oldest first">{}</ol>',
        wording.shown(cron),
        items,
    )


def _linked(entry: Entry, slots: str, show: Callable[[datetime], str]) -> str:
    url = f"{slots}{instant_part(entry.last)}/"
    return mark(entry.fate, url, f"{show(entry.last)}: {entry.words}")


def _count(count: int) -> str:
    return f'<span aria-hidden="true">\u00d7{short_number(count)}</span>' if count > 1 else ""


@register.filter
def short_number(count: int) -> str:
    """``12``, ``3k``, ``2M``: where there is little room."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if count >= size:
            return f"{count // size}{unit}"
    return str(count)


@register.filter
def percent(value: float | None) -> str:
    """Rounded down, so that 100% means all."""
    if value is None:
        return ""
    return f"{int(value * 10) / 10:g}%"
