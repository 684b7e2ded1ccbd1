"""The crons of this process's code: ``@register_cron`` and the discovery of ``crons`` modules."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import logging
import pkgutil
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar, overload

from django.apps import apps
from django.conf import settings

from .core.definition import Cadence, CatchUp, Definition, Overlap, Retries
from .errors import CronConfigError

__all__ = ["BrokenModule", "Registered", "Registry", "register_cron", "registry"]

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

NAME_LENGTH_MAX = 200
RQ_OPTIONS = ("timeout", "ttl", "result_ttl", "failure_ttl", "at_front", "meta")
"""RQ's job options that pass through as they are; durations in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A cron of this code: its definition and what the log must not hold."""

    definition: Definition
    function: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.definition.name


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenModule:
    """A ``crons`` module that does not import; its crons keep the definition in the log."""

    module: str
    error: str
    """Type, message and place, in one line."""


@dataclass(slots=True)
class Registry:
    """Everything that ``register_cron`` saw in this process."""

    crons: dict[str, Registered] = field(default_factory=dict)
    problems: dict[str, list[str]] = field(default_factory=dict)
    """Crons that were refused, with one sentence for each fault."""
    broken_modules: dict[str, BrokenModule] = field(default_factory=dict)
    discovered: bool = False

    def add(self, name: str, function: Callable[..., Any], options: dict[str, Any]) -> None:
        """Register, or note what is wrong. Never raises: one bad cron must not stop the others."""
        try:
            cron = _build(name, function, options)
        except CronConfigError as error:
            self.problems.setdefault(name, []).append(str(error))
            return
        existing = self.crons.get(name)
        if existing is not None and not _same_function(existing.function, function):
            self.problems.setdefault(name, []).append(
                f"Cron {name!r} is registered twice: by {existing.definition.function} and by "
                f"{cron.definition.function}. Give one of them another name=; until then the "
                "first one is used."
            )
            return
        self.crons[name] = cron

    def knows_module_of(self, definition: Definition) -> bool:
        """False when the cron's code is in a module that failed to import just now."""
        module = definition.function.partition(":")[0]
        return not any(
            module == broken or module.startswith(f"{broken}.") for broken in self.broken_modules
        )

    def discover(self) -> None:
        """Import ``crons`` of every installed app, and each module of a ``crons`` package."""
        if self.discovered:
            return
        self.discovered = True
        for app in apps.get_app_configs():
            name = f"{app.name}.crons"
            if importlib.util.find_spec(name) is None:
                continue
            module = self._import(name)
            if module is not None and hasattr(module, "__path__"):
                for item in pkgutil.iter_modules(module.__path__, f"{name}."):
                    self._import(item.name)

    def _import(self, name: str) -> Any:
        try:
            return importlib.import_module(name)
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            broken = BrokenModule(
                module=name,
                error=f"{type(error).__name__}: {error} ({place.filename}:{place.lineno})",
            )
            self.broken_modules[name] = broken
            log.error(
                "Crons of %s are not available: %s. Other crons are not affected.",
                name,
                broken.error,
                extra={"action": "crons_not_imported", "cron_module": name},
            )
            return None


registry = Registry()
"""The registry of this process."""


@overload
def register_cron(function: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def register_cron(
    *,
    schedule: str | None = None,
    every: timedelta | None = None,
    offset: timedelta = ...,
    cadence: Cadence | str | None = None,
    timezone: str | None = None,
    name: str | None = None,
    description: str = "",
    queue: str = ...,
    overlap: Overlap | str = ...,
    catch_up: CatchUp | str = ...,
    max_lateness: timedelta | None = None,
    jitter: timedelta = ...,
    idempotent: bool = False,
    store_result: bool = False,
    retry: Any = None,
    tries: int | None = None,
    args: Iterable[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    **options: Any,
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


def register_cron(function: Any = None, /, **options: Any) -> Any:
    """Register a function as a cron.

    The decorated function is returned unchanged, so it can be called and enqueued as before.

    :param schedule: cron expression of five fields, six with seconds first, or an alias such as
        ``"@daily"``; ``H`` in a field is hashed from the name. Default: hourly.
    :param every: a period instead, aligned to the Unix epoch and shifted by ``offset``.
    :param cadence: a :class:`Cadence` or its value, instead of ``schedule``.
    :param timezone: IANA name; default the project's ``TIME_ZONE``.
    :param name: the stable key; default the function's name, or its module's when it is ``do``.
    :param queue: a queue in ``RQ_QUEUES``.
    :param overlap: ``"allow"``, ``"skip"`` or ``"queue"``.
    :param catch_up: ``"latest"``, ``"all"`` or ``"none"``.
    :param max_lateness: a slot later than this is missed.
    :param jitter: upper bound of the delay added to each slot.
    :param retry: RQ's ``Retry``, or how many tries may follow the first. ``tries=`` counts all.
    :param args, kwargs: arguments of the function; they are not written to the log.
    :param options: RQ's ``timeout``, ``ttl``, ``result_ttl``, ``failure_ttl``, ``at_front``,
        ``meta``.

    Mistakes do not raise here: ``manage.py check`` reports them, and other crons run.

    >>> @register_cron(schedule="0 9 * * 1-5", timezone="America/New_York")
    ... def send_digest(): ...
    """
    if callable(function):
        return _register(function, options)
    if function is not None:  # @register_cron("0 9 * * *"): said by the check, with the name
        options = {"positional": function, **options}
    return lambda decorated: _register(decorated, options)


def _register(function: Callable[..., Any], options: dict[str, Any]) -> Any:
    name = options.get("name") or default_name(function)
    registry.add(str(name), function, options)
    return function


def default_name(function: Callable[..., Any]) -> str:
    """The function's name; a function called ``do`` takes the last part of its module's."""
    name: str = getattr(function, "__name__", type(function).__name__)
    return function.__module__.rpartition(".")[2] if name == "do" else name


def _same_function(first: Callable[..., Any], second: Callable[..., Any]) -> bool:
    """Reloading a module defines the same function again; that is not a duplicate."""
    return (first.__module__, getattr(first, "__qualname__", "")) == (
        second.__module__,
        getattr(second, "__qualname__", ""),
    )


_KNOWN = {
    "schedule",
    "every",
    "offset",
    "cadence",
    "timezone",
    "name",
    "description",
    "queue",
    "overlap",
    "catch_up",
    "max_lateness",
    "jitter",
    "idempotent",
    "store_result",
    "retry",
    "tries",
    "args",
    "kwargs",
    *RQ_OPTIONS,
}


def _build(name: str, function: Callable[..., Any], given: dict[str, Any]) -> Registered:
    defaults = getattr(settings, "RQCRON_DEFAULTS", {})
    options = {**(defaults if isinstance(defaults, dict) else {}), **given}
    where = f"Cron {name!r}"
    if "positional" in options:
        raise CronConfigError(
            f"{where}: register_cron({options['positional']!r}) is invalid: options are given by "
            f"name, such as schedule={options['positional']!r}."
        )
    for key in options:
        if key not in _KNOWN:
            near = difflib.get_close_matches(key, _KNOWN, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(_KNOWN))}."
            raise CronConfigError(f"{where}: option {key!r} is unknown; {hint}")
    if len(name) > NAME_LENGTH_MAX or not name.isprintable() or not name.strip():
        raise CronConfigError(
            f"{where}: the name must be printable and have at most {NAME_LENGTH_MAX} characters."
        )
    definition = Definition(
        name=name,
        function=f"{function.__module__}:{getattr(function, '__qualname__', name)}",
        **_schedule(where, options),
        queue=_queue(where, options),
        description=_description(function, options),
        overlap=_choice(where, options, "overlap", Overlap),
        catch_up=_choice(where, options, "catch_up", CatchUp),
        max_lateness_seconds=_seconds(where, options, "max_lateness"),
        jitter_seconds=_seconds(where, options, "jitter") or 0,
        idempotent=bool(options.get("idempotent", False)),
        store_result=bool(options.get("store_result", False)),
        retries=_retries(where, options),
        options=_rq_options(where, options),
    )
    try:
        _ = definition.schedule
    except ValueError as error:
        raise CronConfigError(f"{where}: {error}.") from error
    return Registered(
        definition=definition,
        function=function,
        args=tuple(options.get("args") or ()),
        kwargs=dict(options.get("kwargs") or {}),
    )


def _schedule(where: str, options: dict[str, Any]) -> dict[str, Any]:
    ways = [key for key in ("schedule", "every", "cadence") if options.get(key) is not None]
    if len(ways) > 1:
        raise CronConfigError(f"{where}: {' and '.join(ways)} exclude each other; give one.")
    zone = options.get("timezone") or settings.TIME_ZONE
    found: dict[str, Any] = {"timezone": str(zone)}
    if "every" in ways:
        seconds = _seconds(where, options, "every")
        offset = _seconds(where, options, "offset") or 0
        if seconds != int(seconds or 0) or offset != int(offset):
            raise CronConfigError(
                f"{where}: every={options['every']} and offset must be whole seconds."
            )
        return {**found, "every_seconds": int(seconds or 0), "offset_seconds": int(offset)}
    if options.get("offset"):
        raise CronConfigError(f"{where}: offset shifts every=; give every= too, or drop it.")
    if "schedule" in ways:
        if not isinstance(options["schedule"], str):
            raise CronConfigError(
                f"{where}: schedule {options['schedule']!r} is invalid: give a string such as "
                "'0 9 * * 1-5', or every=timedelta(...)."
            )
        return {**found, "expression": options["schedule"]}
    cadence = options.get("cadence") or Cadence.HOURLY
    try:
        return {**found, "expression": Cadence(str(cadence).lower()).expression}
    except ValueError as error:
        known = ", ".join(item.value for item in Cadence)
        raise CronConfigError(
            f"{where}: cadence {cadence!r} is invalid: use one of {known}."
        ) from error


def _queue(where: str, options: dict[str, Any]) -> str:
    queue = str(options.get("queue") or "default")
    queues = getattr(settings, "RQ_QUEUES", {})
    if queue not in queues:
        raise CronConfigError(
            f"{where}: queue {queue!r} is not in RQ_QUEUES; use one of "
            f"{', '.join(sorted(queues)) or '(none are defined)'}, or add it there."
        )
    return queue


def _description(function: Callable[..., Any], options: dict[str, Any]) -> str:
    text = options.get("description") or (inspect.getdoc(function) or "").partition("\n")[0]
    return str(text)


def _choice(where: str, options: dict[str, Any], key: str, enum: Any) -> Any:
    default = next(iter(enum))
    try:
        return enum(options.get(key, default))
    except ValueError as error:
        known = ", ".join(repr(item.value) for item in enum)
        raise CronConfigError(
            f"{where}: {key}={options[key]!r} is invalid: use one of {known}."
        ) from error


def _seconds(where: str, options: dict[str, Any], key: str) -> float | None:
    value = options.get(key)
    if value is None:
        return None
    if not isinstance(value, timedelta):
        raise CronConfigError(f"{where}: {key}={value!r} is invalid: give a datetime.timedelta.")
    if value < timedelta(0):
        raise CronConfigError(f"{where}: {key}={value} is negative; give zero or more.")
    return value.total_seconds()


def _retries(where: str, options: dict[str, Any]) -> Retries | None:
    retry, tries = options.get("retry"), options.get("tries")
    if retry is not None and tries is not None:
        raise CronConfigError(f"{where}: retry and tries exclude each other; give one.")
    if tries is not None:
        if not isinstance(tries, int) or tries < 1:
            raise CronConfigError(f"{where}: tries={tries!r} is invalid: give 1 or more.")
        retry = tries - 1
    if retry is None or retry == 0:
        return None
    if isinstance(retry, int) and not isinstance(retry, bool) and retry > 0:
        return Retries(max=retry)
    if not hasattr(retry, "max") or not hasattr(retry, "intervals"):
        raise CronConfigError(
            f"{where}: retry={retry!r} is invalid: give a number of retries or rq.Retry(max=...)."
        )
    return Retries(
        max=retry.max,
        intervals=tuple(retry.intervals) or (0,),
        enqueue_at_front=bool(getattr(retry, "enqueue_at_front", False)),
    )


def _rq_options(where: str, options: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in RQ_OPTIONS:
        value = options.get(key)
        if value is None or value is False:
            continue
        if isinstance(value, timedelta):
            value = int(value.total_seconds())
        if key == "meta":
            if not isinstance(value, Mapping) or not _is_json(value):
                raise CronConfigError(f"{where}: meta={value!r} is invalid: give a dict of JSON.")
            value = dict(value)
        elif key == "at_front":
            value = bool(value)
        elif not isinstance(value, int) or isinstance(value, bool) or value < -1:
            raise CronConfigError(
                f"{where}: {key}={value!r} is invalid: give whole seconds (-1: no limit)."
            )
        elif value == 0 and key in ("timeout", "ttl"):
            raise CronConfigError(f"{where}: {key}=0 is invalid: give at least one second.")
        found[key] = value
    return found


def _is_json(value: Any) -> bool:
    match value:
        case None | bool() | int() | float() | str():
            return True
        case list():
            return all(_is_json(item) for item in value)
        case Mapping():
            return all(isinstance(key, str) and _is_json(item) for key, item in value.items())
        case _:
            return False
