"""The crons of this process's code: ``@register_cron`` and the discovery of ``crons`` modules."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import pkgutil
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar, overload

from django.apps import apps

from .core.definition import Cadence, CatchUp, Definition, Overlap
from .core.wording import shown
from .cron_options import definition_of, with_defaults
from .errors import CronConfigError

__all__ = ["BrokenModule", "Registered", "Registry", "register_cron", "registry"]

log = logging.getLogger(__name__)

IMPORT_SLOW_SECONDS = 30.0
"""A ``crons`` module that takes longer is named in the process's log."""
IMPORT_SLOW_TEXT = (
    "Module %s has been importing for %.0f s; this process does nothing else until it ends. Move "
    "slow work from the module into its functions."
)
NAMES_TOLD_MAX = 20
ERROR_CHARACTERS_MAX = 1000
"""Of what users' exceptions say."""

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
    registered: tuple[str, ...] = ()
    """Crons that it had registered by then; they are in, and what follows the error is not."""

    @property
    def told(self) -> str:
        """Which of its crons are in: a sentence."""
        if not self.registered:
            return "None of its crons is registered by this process."
        names = ", ".join(map(repr, self.registered[:NAMES_TOLD_MAX]))
        more = len(self.registered) - NAMES_TOLD_MAX
        return (
            f"It registered {names}{f' and {more} more' if more > 0 else ''} before the error; crons "
            "defined after it are not registered."
        )


@dataclass(slots=True)
class Registry:
    """Everything that ``register_cron`` saw in this process."""

    crons: dict[str, Registered] = field(default_factory=dict)
    problems: dict[str, list[str]] = field(default_factory=dict)
    """Crons that were refused, with one sentence for each fault."""
    broken_modules: dict[str, BrokenModule] = field(default_factory=dict)
    renamed_from: dict[str, str] = field(default_factory=dict)
    """By name, what crons were called before, also of those that were refused."""
    discovered: bool = False
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False, compare=False)
    """Whoever discovers while another thread does waits, and then finds all crons. The thread that
    holds it passes: a ``crons`` module may ask for the registry."""

    def add(self, name: str, function: Callable[..., Any], options: dict[str, Any]) -> None:
        """Register, or note what is wrong. Never raises: one bad cron must not stop the others."""
        former = options.get("renamed_from")
        if isinstance(former, str) and former != name:
            self.renamed_from[name] = former
        try:
            self._add(name, function, with_defaults(options))
        except KeyboardInterrupt:
            raise
        except CronConfigError as error:
            self.problems.setdefault(name, []).append(error_text(error))
        except BaseException as error:  # of the options' own methods, which are users' code
            self.problems.setdefault(name, []).append(
                f"Cron {name!r}: its options cannot be read: {type(error).__name__}: "
                f"{error_text(error)}. Give plain values."
            )

    def _add(self, name: str, function: Callable[..., Any], options: dict[str, Any]) -> None:
        definition = definition_of(name, function, options)
        existing = self.crons.get(name)
        if existing is not None and not _same_function(existing.function, function):
            raise CronConfigError(
                f"Cron {name!r} is registered twice: by {existing.definition.function} and by "
                f"{definition.function}. Give one of them another name=; until then the "
                "first one is used."
            )
        self.crons[name] = Registered(
            definition=definition,
            function=function,
            args=tuple(options.get("args") or ()),
            kwargs=dict(options.get("kwargs") or {}),
        )

    def names(self) -> dict[str, str]:
        """Every cron that this code has, also those that were refused, with the name that it had
        before, or an empty string."""
        return {name: self.renamed_from.get(name, "") for name in (*self.crons, *self.problems)}

    def find(self, stored: str, present: str = "") -> Registered | None:
        """The cron of a job or of the log, by its stored and its present name.

        Code of before a rename has the old name, and code of after it knows a job of the old name
        by ``renamed_from``, so workers of both run the jobs of both.
        """
        names = (present, stored)
        found = next((self.crons[name] for name in names if name in self.crons), None)
        if found is not None:
            return found
        former = (name for name, before in self.renamed_from.items() if before in names)
        return next((self.crons[name] for name in former if name in self.crons), None)

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

    def _names_of(self, module: str) -> Iterator[str]:
        for name, cron in self.crons.items():
            if cron.definition.function.partition(":")[0] == module:
                yield name

    def discover(self) -> None:
        """Import ``crons`` of every installed app, and each module of a ``crons`` package."""
        with self._lock:
            if self.discovered:
                return
            self.discovered = True
            for app in apps.get_app_configs():
                self._discover_in(f"{app.name}.crons")

    def _discover_in(self, name: str) -> None:
        with self._noting_failure(name):
            if importlib.util.find_spec(name) is None:
                return
            module = self._import(name)
            for item in pkgutil.iter_modules(getattr(module, "__path__", ()), f"{name}."):
                self._import(item.name)

    def _import(self, name: str) -> Any:
        with self._noting_failure(name), _saying_when_slow(name):
            return importlib.import_module(name)

    @contextmanager
    def _noting_failure(self, name: str) -> Iterator[None]:
        """Whatever a module raises, ``sys.exit()`` included, is that module's alone."""
        try:
            yield
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            broken = BrokenModule(
                module=name,
                error=f"{type(error).__name__}: {error_text(error)} "
                f"({place.filename}:{place.lineno})",
                registered=tuple(self._names_of(name)),
            )
            self.broken_modules[name] = broken
            log.error(
                "Module %s does not import: %s. %s Other modules are not affected.",
                name,
                shown(broken.error),
                broken.told,
                extra={"action": "crons_not_imported", "cron_module": name},
            )


@contextmanager
def _saying_when_slow(name: str) -> Iterator[None]:
    """Python cannot give up an import that hangs: it can only be named, for whoever looks."""
    said = threading.Timer(
        IMPORT_SLOW_SECONDS,
        log.warning,
        (IMPORT_SLOW_TEXT, name, IMPORT_SLOW_SECONDS),
        {"extra": {"action": "crons_import_slow", "cron_module": name}},
    )
    said.daemon = True
    said.start()
    try:
        yield
    finally:
        said.cancel()


def error_text(error: BaseException) -> str:
    """What an exception says, bounded: its ``__str__`` is users' code and may raise in turn."""
    try:
        return str(error)[:ERROR_CHARACTERS_MAX]
    except KeyboardInterrupt:
        raise
    except BaseException:
        return f"<{type(error).__name__} that cannot be shown>"


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
    renamed_from: str | None = None,
    description: str = "",
    queue: str = ...,
    overlap: Overlap | str = ...,
    catch_up: CatchUp | str = ...,
    max_lateness: timedelta | None = None,
    jitter: timedelta = ...,
    max_failures: int | None = None,
    max_age: timedelta | None = None,
    enabled: bool = True,
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
    :param renamed_from: the name that the cron had until now: its history, pause and open runs stay.
    :param queue: a queue in ``RQ_QUEUES``.
    :param overlap: ``"allow"``, ``"skip"`` or ``"queue"``.
    :param catch_up: ``"latest"``, ``"all"`` or ``"none"``.
    :param max_lateness: a slot later than this is missed.
    :param jitter: upper bound of the delay added to each slot.
    :param max_failures: more failed runs in a row make ``cron_health`` exit 1.
    :param max_age: no success for longer makes ``cron_health`` exit 1.
    :param enabled: False: its slots are recorded as skipped; ``RQCRON_ENABLED`` may say otherwise.
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
    try:
        name = str(options.get("name") or default_name(function))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        name = default_name(function)
        registry.problems.setdefault(name, []).append(
            f"Cron {name!r}: its name= cannot be read: {type(error).__name__}: "
            f"{error_text(error)}. Give a string."
        )
        return function
    registry.add(name, function, options)
    return function


def default_name(function: Callable[..., Any]) -> str:
    """The function's name; a function called ``do`` takes the last part of its module's."""
    name = str(getattr(function, "__name__", None) or type(function).__name__)
    module = getattr(function, "__module__", None)
    return module.rpartition(".")[2] if name == "do" and isinstance(module, str) else name


def _same_function(first: Callable[..., Any], second: Callable[..., Any]) -> bool:
    """Reloading a module defines the same function again; that is not a duplicate."""
    return _place(first) == _place(second)


def _place(function: Callable[..., Any]) -> tuple[str, str]:
    return str(getattr(function, "__module__", "")), str(getattr(function, "__qualname__", ""))
