"""The crons of this process's code: ``@register_cron`` and the discovery of ``crons`` modules."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import pkgutil
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar, overload

from django.apps import apps

from .core.definition import Cadence, CatchUp, Definition, Overlap
from .cron_options import definition_of, with_defaults
from .errors import CronConfigError

__all__ = ["BrokenModule", "Registered", "Registry", "register_cron", "registry"]

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")


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
        options = with_defaults(options)
        try:
            definition = definition_of(name, function, options)
        except CronConfigError as error:
            self.problems.setdefault(name, []).append(str(error))
            return
        existing = self.crons.get(name)
        if existing is not None and not _same_function(existing.function, function):
            self.problems.setdefault(name, []).append(
                f"Cron {name!r} is registered twice: by {existing.definition.function} and by "
                f"{definition.function}. Give one of them another name=; until then the "
                "first one is used."
            )
            return
        self.crons[name] = Registered(
            definition=definition,
            function=function,
            args=tuple(options.get("args") or ()),
            kwargs=dict(options.get("kwargs") or {}),
        )

    def knows_module_of(self, definition: Definition) -> bool:
        """False when the cron's code is in a module that failed to import just now."""
        return self.broken_module_of(definition.function) is None

    def broken_module_of(self, function: str) -> BrokenModule | None:
        """The module that failed to import and has the function (``module:qualname``), or None."""
        module = function.partition(":")[0]
        for name, broken in self.broken_modules.items():
            if module == name or module.startswith(f"{name}."):
                return broken
        return None

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
