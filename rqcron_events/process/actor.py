"""Who stands behind an event: people by their names, machines by a prefix that no person has."""

from __future__ import annotations

import getpass
import unicodedata

from ..core.wording import shown
from ..errors import CronConfigError

__all__ = ["ACTOR_LENGTH_MAX", "actor_name"]

ACTOR_LENGTH_MAX = 200
MACHINES = ("runner/", "worker/")
MACHINE_NAMES = ("cron_reconcile", "text_expiry")
"""What acts for nobody."""


def actor_name(by: str | None) -> str:
    """The person: as given, or the OS user. At most 200 characters are kept.

    Raises CronConfigError for a name that machines have or that cannot be seen as it is: whoever
    reads the log must be able to tell who it was.
    """
    name = (by or _os_user())[:ACTOR_LENGTH_MAX]
    source = f"by={name!a}" if by else f"The OS user's name {name!a}"
    remedy = "Give the person's name." if by else "Give --by (in code: by=) with the person's name."
    # In the form that readers cannot tell apart: capitals and wide letters look like the name, too.
    alike = unicodedata.normalize("NFKC", name).casefold().strip()
    if alike.startswith(MACHINES) or alike in MACHINE_NAMES:
        raise CronConfigError(f"{source} is a name that only machines write. {remedy}")
    if not name.strip() or shown(name) != name:
        raise CronConfigError(f"{source} is empty or has characters that cannot be seen. {remedy}")
    return name


def _os_user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no user entry, as in some containers
        return "unknown"
