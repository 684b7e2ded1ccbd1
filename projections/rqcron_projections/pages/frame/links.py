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
    kinds = tuple(type(part) if isinstance(part, UUID | int) else str for part in parts)
    pieces = _pieces(site, page, kinds, get_urlconf() or settings.ROOT_URLCONF, get_script_prefix())
    quoted = (urlquote(_part(part), safe=SAFE) for part in parts)
    return pieces[0] + "".join(map("".join, zip(quoted, pieces[1:], strict=True)))


@lru_cache(maxsize=200)
def _pieces(
    site: str, page: str, kinds: tuple[type, ...], _urlconf: str, _prefix: str
) -> tuple[str, ...]:
    """The path around its parts: a page has hundreds of links, and Django's ``reverse`` takes a tenth
    of a millisecond for each."""
    places = [_placeholder(place, kind) for place, kind in enumerate(kinds)]
    rest = reverse(f"admin:rqcron_{page}", args=places, current_app=site)
    pieces = []
    for place in places:
        before, _, rest = rest.partition(place)
        pieces.append(before)
    return (*pieces, rest)


def _placeholder(place: int, kind: type) -> str:
    """As a path takes it there: ``<uuid:run>``, ``<int:event>`` or ``<str:cron>``."""
    if kind is UUID:
        return str(UUID(int=place))
    return f"{10**20 + place}" if kind is int else f"-part-{place}-"


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
        return found.astimezone(UTC) if found.tzinfo else None
    except (ValueError, OverflowError):  # in UTC, it may lie in a year that no calendar has
        return None


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
