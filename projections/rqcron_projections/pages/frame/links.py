"""Addresses of the pages. Whatever a cron is called fits in."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote as urlquote
from uuid import UUID

from django.conf import settings
from django.contrib.admin.utils import quote, unquote
from django.urls import NoReverseMatch, get_script_prefix, get_urlconf, reverse

from rqcron_events.conf import rq_queues

__all__ = [
    "django_rq_queue_url",
    "django_rq_url",
    "instant_part",
    "name_of",
    "name_part",
    "page_url",
    "parse_instant",
]

SAFE = "!$&'()*+,;=/~:@"
"""What Django leaves as it is in a path."""


def page_url(site: str, page: str, *parts: str | datetime | UUID | int) -> str:
    """The path of a page in an admin site (its ``name``): ``page_url("admin", "cron", name)``."""
    kinds = tuple(type(part) is UUID for part in parts)
    path = _pattern(site, page, kinds, get_urlconf() or settings.ROOT_URLCONF, get_script_prefix())
    for place, part in enumerate(parts):
        path = path.replace(_placeholder(place, kinds[place]), urlquote(_part(part), safe=SAFE))
    return path


@lru_cache(maxsize=200)
def _pattern(site: str, page: str, kinds: tuple[bool, ...], _urlconf: str, _prefix: str) -> str:
    """The path with placeholders for its parts: a page has hundreds of links, and Django's ``reverse``
    takes a tenth of a millisecond for each."""
    places = [_placeholder(place, is_uuid) for place, is_uuid in enumerate(kinds)]
    return reverse(f"admin:rqcron_{page}", args=places, current_app=site)


def _placeholder(place: int, is_uuid: bool) -> str:
    return str(UUID(int=place)) if is_uuid else f"-part-{place}-"


def name_part(name: str) -> str:
    """A cron's name as one part of a path.

    >>> name_part("a/b #1"), name_part("..")
    ('a_2Fb _231', '_2E_2E')
    """
    # Browsers and servers resolve a part of nothing but dots.
    return quote(name) if name.strip(".") else name.replace(".", "_2E")


def name_of(part: str) -> str:
    """The other way round. PostgreSQL has no NUL in a text, so no cron is called so."""
    return unquote(part.replace("_2E", ".")).replace("\0", "\ufffd")


def instant_part(instant: datetime) -> str:
    """ISO 8601 in UTC, with a ``Z``."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_instant(part: str) -> datetime | None:
    """None for what is no instant with its offset."""
    try:
        found = datetime.fromisoformat(part)
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else None


def django_rq_url(page: str, *args: object) -> str:
    """One of django-rq's own pages, as ``django_rq_home``; empty where they are not served."""
    for name in (f"admin:{page}", f"django_rq:{page.removeprefix('django_rq_')}"):
        try:
            return reverse(name, args=args)
        except NoReverseMatch:
            continue
    return ""


def django_rq_queue_url(queue: str, page: str = "django_rq_jobs", *args: object) -> str:
    """A page of a queue among django-rq's own; empty where they or the queue are not there."""
    queues = list(rq_queues())
    return django_rq_url(page, queues.index(queue), *args) if queue in queues else ""


def _part(part: str | datetime | UUID | int) -> str:
    if isinstance(part, datetime):
        return instant_part(part)
    return name_part(part) if isinstance(part, str) else str(part)
