"""Every setting, read in one place. Flat names, units last; absent means the default."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from django.db import DEFAULT_DB_ALIAS

from .core.archive.settings import problems_of_archive
from .core.seal.settings import problems_of_keys, problems_of_receivers
from .errors import CronConfigError

__all__ = ["Conf", "conf", "migrate_command", "problems", "rq_queues"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conf:
    """The settings, with their defaults."""

    database: str = "default"
    """RQCRON_DATABASE: alias in DATABASES of the ledger and the projections."""
    tick_seconds: float = 1.0
    """RQCRON_TICK_SECONDS: how often the leader looks for what others appended."""
    lease_seconds: float = 6.0
    """RQCRON_LEASE_SECONDS: a leader that is silent for this long is replaced."""
    grace_seconds: float = 10.0
    """RQCRON_GRACE_SECONDS: with catch_up="none", how late a slot may still fire."""
    catch_up_slots_max: int = 100
    """RQCRON_CATCH_UP_SLOTS_MAX: with catch_up="all", how many slots may fire at once."""
    tail_wait_seconds: float = 0.25
    """RQCRON_TAIL_WAIT_SECONDS: how long a reader waits for a writer that holds its transaction."""
    snapshot_seconds: float = 60.0
    """RQCRON_SNAPSHOT_SECONDS: how often the leader saves its folded state, a cache."""
    worker_wait_seconds: float = 5.0
    """RQCRON_WORKER_WAIT_SECONDS: how long a job may be held up by a database that hangs."""
    give_back_seconds: int = 120
    """RQCRON_GIVE_BACK_SECONDS: how long workers that do not know a cron (an older deploy) put
    its job back into the queue, before the run fails."""
    clock_skew_warning_seconds: float = 2.0
    """RQCRON_CLOCK_SKEW_WARNING_SECONDS: clocks that differ by more are named, by runners and by
    health."""
    clock_skew_seconds_max: float = 10.0
    """RQCRON_CLOCK_SKEW_SECONDS_MAX: a runner whose clock differs from the database's by more
    decides nothing."""
    result_bytes_max: int = 2_000
    """RQCRON_RESULT_BYTES_MAX: bound of a stored result."""
    message_bytes_max: int = 1_000
    """RQCRON_MESSAGE_BYTES_MAX: bound of a stored error message."""
    traceback_bytes_max: int = 8_000
    """RQCRON_TRACEBACK_BYTES_MAX: bound of a stored traceback; its end is kept."""
    health_view: bool = False
    """RQCRON_HEALTH_VIEW: open the health page, which asks for no login, to probes."""
    enabled: bool | dict[str, bool] = True
    """RQCRON_ENABLED: whether crons fire, by name; "*" is for those that are not named."""
    defaults: dict[str, Any] = field(default_factory=dict)
    """RQCRON_DEFAULTS: arguments of register_cron that every cron starts from."""
    alerts: dict[str, Any] = field(default_factory=dict, repr=False)
    """RQCRON_ALERTS: whom rqcron_projections tells what. May hold secrets."""
    checkins: dict[str, Any] = field(default_factory=dict, repr=False)
    """RQCRON_CHECKINS: which monitors hear of runs from rqcron_projections. May hold secrets."""
    traces: bool | dict[str, Any] = False
    """RQCRON_TRACES: whether rqcron_projections tells OpenTelemetry of each run, and how."""
    site_url: str = ""
    """RQCRON_SITE_URL: where people reach the site, for links in alerts."""
    scrub: str | None = "rqcron_events.core.words.secrets.without_secrets"
    """RQCRON_SCRUB: what each error message, traceback and result goes through before it is stored; None:
    nothing."""
    text_days: float | None = None
    """RQCRON_TEXT_DAYS: how long those texts are kept; None: for ever."""
    seal_key: str = field(default="", repr=False)
    """RQCRON_SEAL_KEY: signs checkpoints of the log. A secret."""
    seal_old_keys: list[str] = field(default_factory=list)
    """RQCRON_SEAL_OLD_KEYS: public keys of before, whose signatures count, too."""
    seal_receivers: dict[str, Any] = field(default_factory=dict, repr=False)
    """RQCRON_SEAL_RECEIVERS: where checkpoints go. May hold secrets."""
    seal_seconds: float | None = 60.0
    """RQCRON_SEAL_SECONDS: how often what is new in the log is sealed; 0 or None: not by itself."""
    log_bytes_max: int | None = None
    """RQCRON_LOG_BYTES_MAX: health warns before the log takes more room; None: it may take any."""
    run_days: float | None = None
    """RQCRON_RUN_DAYS: rows of runs that ended are removed from rqcron_projections after so many days;
    None: never."""

    archive: dict[str, Any] = field(default_factory=dict)
    """RQCRON_ARCHIVE: where archived events go: an alias in STORAGES, and a prefix there."""
    keep_days: float | None = None
    """RQCRON_KEEP_DAYS: the leader archives events that are older; None: not by itself."""

    @property
    def trace_ratio(self) -> float | None:
        """How many of all runs have a trace that is told, 0 to 1; None: traces are off."""
        if not self.traces:
            return None
        return float(self.traces.get("ratio", 1)) if isinstance(self.traces, dict) else 1.0


_OF_TRACES: dict[str, tuple[float, float]] = {"ratio": (0, 1), "max_age_seconds": (60, 31_536_000)}
"""What RQCRON_TRACES may have besides ``exporter``."""
_BOUNDS: dict[str, tuple[float, float]] = {
    "tick_seconds": (0.05, 60),
    "lease_seconds": (1, 60),
    "grace_seconds": (0, 86_400),
    "catch_up_slots_max": (1, 100_000),
    "tail_wait_seconds": (0, 60),
    "snapshot_seconds": (1, 86_400),
    "worker_wait_seconds": (0.1, 60),
    "give_back_seconds": (0, 86_400),
    "clock_skew_warning_seconds": (0.1, 3_600),
    "clock_skew_seconds_max": (0.5, 3_600),
    "result_bytes_max": (0, 1_000_000),
    "message_bytes_max": (0, 1_000_000),
    "traceback_bytes_max": (0, 1_000_000),
    "seal_seconds": (0, 86_400),
    "log_bytes_max": (1_000_000, 10**15),
    "run_days": (1, 36_500),
    "text_days": (1, 36_500),
}
_NONE_IS_OFF = ("seal_seconds", "log_bytes_max", "run_days", "text_days")


@lru_cache(maxsize=1)
def conf() -> Conf:
    """The settings. Raises CronConfigError with the setting and its remedy.

    Settings are read once, as Django does, and again when its ``override_settings`` says so.
    """
    found = problems()
    if found:
        raise CronConfigError(found[0])
    values = {
        item.name: getattr(settings, f"RQCRON_{item.name.upper()}")
        for item in fields(Conf)
        if hasattr(settings, f"RQCRON_{item.name.upper()}")
    }
    return Conf(**values)


def migrate_command() -> str:
    """What makes the tables, in the database where they belong."""
    alias = conf().database
    return "manage.py migrate" + (f" --database {alias}" if alias != DEFAULT_DB_ALIAS else "")


def _forget(**_: Any) -> None:
    conf.cache_clear()


setting_changed.connect(_forget)


def problems() -> list[str]:
    """One sentence for each setting that is wrong."""
    found: list[str] = []
    known = {f"RQCRON_{item.name.upper()}" for item in fields(Conf)}
    for name in dir(settings):
        if name.startswith("RQCRON_") and name not in known:
            found.append(f"Setting {name} is unknown. Known ones: {', '.join(sorted(known))}.")
    for name, (low, high) in _BOUNDS.items():
        setting = f"RQCRON_{name.upper()}"
        value = getattr(settings, setting, low)
        if name in _NONE_IS_OFF and value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            found.append(f"Setting {setting} is {value!r}. Give a number from {low} to {high}.")
        elif not low <= value <= high:
            found.append(f"Setting {setting} is {value!r}. It must be from {low} to {high}.")
    health_view = getattr(settings, "RQCRON_HEALTH_VIEW", False)
    if not isinstance(health_view, bool):
        found.append(f"Setting RQCRON_HEALTH_VIEW is {health_view!r}. Give True or False.")
    alias = getattr(settings, "RQCRON_DATABASE", "default")
    if alias not in settings.DATABASES:
        found.append(
            f"Setting RQCRON_DATABASE is {alias!r}. It must be an alias in DATABASES: "
            f"{', '.join(sorted(settings.DATABASES))}."
        )
    found += _problems_of_enabled(getattr(settings, "RQCRON_ENABLED", True))
    if not isinstance(getattr(settings, "RQCRON_DEFAULTS", {}), dict):
        found.append("Setting RQCRON_DEFAULTS is not a dict. Give {'overlap': 'skip'} or the like.")
    if not isinstance(getattr(settings, "RQCRON_ALERTS", {}), dict):  # its value may hold secrets
        found.append(
            "Setting RQCRON_ALERTS is not a dict. Give {'receivers': {...}, 'rules': {...}}."
        )
    if not isinstance(getattr(settings, "RQCRON_CHECKINS", {}), dict):
        found.append(
            "Setting RQCRON_CHECKINS is not a dict. Give {'hc': {'kind': 'healthchecks', ...}}."
        )
    found += _problems_of_traces(getattr(settings, "RQCRON_TRACES", False))
    scrub = getattr(settings, "RQCRON_SCRUB", None)
    if scrub is not None and not (isinstance(scrub, str) and re.fullmatch(r"\w+(\.\w+)+", scrub)):
        found.append(
            f"Setting RQCRON_SCRUB is {scrub!r}. Give the dotted path of a function, such as "
            "'shop.privacy.scrub', or None."
        )
    url = getattr(settings, "RQCRON_SITE_URL", "")
    if not isinstance(url, str) or (url and not re.fullmatch(r"https?://[^\s?#@]+", url)):
        found.append(f"Setting RQCRON_SITE_URL is {url!r}. Give one such as 'https://example.org'.")
    found += problems_of_keys(
        getattr(settings, "RQCRON_SEAL_KEY", ""), getattr(settings, "RQCRON_SEAL_OLD_KEYS", [])
    )
    found += problems_of_receivers(getattr(settings, "RQCRON_SEAL_RECEIVERS", {}))
    found += problems_of_archive(
        getattr(settings, "RQCRON_ARCHIVE", {}),
        getattr(settings, "RQCRON_KEEP_DAYS", None),
        getattr(settings, "STORAGES", {}),
        bool(getattr(settings, "RQCRON_SEAL_KEY", ""))
        and bool(getattr(settings, "RQCRON_SEAL_SECONDS", Conf().seal_seconds)),
    )
    if not settings.USE_TZ:
        found.append("Setting USE_TZ is False. Set USE_TZ = True: slots are instants in UTC.")
    return found


def _problems_of_enabled(value: Any) -> list[str]:
    if isinstance(value, bool):
        return []
    if not isinstance(value, dict):
        remedy = "Give True, False, or a dict such as {'*': False, 'send_digest': True}."
        return [f"Setting RQCRON_ENABLED is {value!r}. {remedy}"]
    found = [
        f"Setting RQCRON_ENABLED has the key {name!r}. Give names of crons, or '*' for all others."
        for name in value
        if not isinstance(name, str)
    ]
    return found + [
        f"Setting RQCRON_ENABLED has {given!r} for {name!r}. Give True or False."
        for name, given in value.items()
        if not isinstance(given, bool)
    ]


def _problems_of_traces(value: Any) -> list[str]:
    if isinstance(value, bool):
        return []
    if not isinstance(value, dict):
        remedy = "Give True, False, or a dict such as {'ratio': 0.1}."
        return [f"Setting RQCRON_TRACES is {value!r}. {remedy}"]
    known = {"exporter", *_OF_TRACES}
    found = [
        f"Setting RQCRON_TRACES has {key!r}. Known: {', '.join(sorted(known))}."
        for key in value
        if key not in known
    ]
    for key, (low, high) in _OF_TRACES.items():
        given = value.get(key, low)
        if not isinstance(given, (int, float)) or isinstance(given, bool):
            found.append(f"Setting RQCRON_TRACES has {given!r} for {key!r}. Give a number.")
        elif not low <= given <= high:
            found.append(
                f"Setting RQCRON_TRACES has {given!r} for {key!r}. It must be from {low} to {high}."
            )
    return found


def rq_queues() -> dict[str, Any]:
    """RQ_QUEUES of django-rq; empty where it is not set, which ``manage.py check`` reports."""
    return getattr(settings, "RQ_QUEUES", None) or {}
