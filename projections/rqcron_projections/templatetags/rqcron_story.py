"""Filters for the pages of slots, runs, events and actions."""

from __future__ import annotations

from datetime import datetime, timedelta

from django import template

from rqcron_events.core import wording

from ..pages.frame.links import instant_part

__all__ = ["register"]

register = template.Library()


@register.filter
def shown_lines(text: object) -> str:
    """Text of others of many lines, such as a traceback, in which nothing is hidden."""
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
