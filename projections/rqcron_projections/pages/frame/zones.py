"""In which zone times are shown: the viewer's choice from a closed list, kept in a cookie."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, tzinfo
from enum import StrEnum

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from rqcron_events.core.schedule import zone_or_utc

__all__ = ["COOKIE", "PARAMETER", "ZoneChoice", "Zones", "keep_choice", "zones_of"]

PARAMETER = "tz"
COOKIE = "rqcron_tz"
COOKIE_SECONDS = 365 * 86_400


class ZoneChoice(StrEnum):
    CRON = "cron"
    """Each time in the zone of the cron that it is about."""
    PROJECT = "project"
    """``TIME_ZONE``."""
    BROWSER = "browser"
    """By JavaScript; without it that of the project."""
    UTC = "utc"

    @property
    def label(self) -> str:
        return _LABELS[self]


_LABELS = {
    ZoneChoice.CRON: "the cron's zone",
    ZoneChoice.PROJECT: "the project's zone",
    ZoneChoice.BROWSER: "my browser's zone",
    ZoneChoice.UTC: "UTC",
}


@dataclass(frozen=True, slots=True)
class Zones:
    """The choice, and what follows from it."""

    choice: ZoneChoice

    @property
    def choices(self) -> list[ZoneChoice]:
        return list(ZoneChoice)

    def of(self, cron_zone: str = "") -> tzinfo:
        """For a time that concerns a cron of this zone; empty: that concerns none."""
        if self.choice is ZoneChoice.UTC:
            return UTC
        if self.choice is ZoneChoice.CRON and cron_zone:
            return zone_or_utc(cron_zone)
        return timezone.get_default_timezone()


def zones_of(request: HttpRequest) -> Zones:
    """By the address, or else by the cookie; what is not in the list counts as no choice."""
    for known in (request.GET.get(PARAMETER), request.COOKIES.get(COOKIE)):
        if known in list(ZoneChoice):
            return Zones(ZoneChoice(known))
    return Zones(ZoneChoice.CRON)


def keep_choice(request: HttpRequest, response: HttpResponse, zones: Zones) -> None:
    """Only what was chosen just now is written."""
    if request.GET.get(PARAMETER) == zones.choice:
        response.set_cookie(
            COOKIE, zones.choice, max_age=COOKIE_SECONDS, httponly=True, samesite="Lax"
        )
