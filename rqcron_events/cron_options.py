"""The options of ``@register_cron``: what each may be, and the definition that they make."""

from __future__ import annotations

import difflib
import inspect
import json
import math
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings

from .core.definition import Cadence, CatchUp, Definition, Overlap, Retries
from .core.events.storable import NESTING_MAX, why_not_storable
from .errors import CronConfigError

__all__ = ["KNOWN_OPTIONS", "RQ_OPTIONS", "definition_of", "function_fault", "with_defaults"]

NAME_LENGTH_MAX = 200
DEFINITION_BYTES_MAX = 65_536
"""Of a definition as JSON: it stands in the log with each change, in memory of every runner, and its
meta in each job."""
DURATION_SECONDS_MAX = 36_525 * 86_400
"""A century; what is longer is a mistake, and Redis and timedelta have their limits, too."""
TIMEOUT_SECONDS_MAX = 2_000_000_000
"""RQ sets an alarm with a minute more, and the system counts its seconds in 32 bits."""
RETRIES_MAX = 10_000
COUNT_MAX = 1_000_000
RQ_OPTIONS = ("timeout", "ttl", "result_ttl", "failure_ttl", "at_front", "meta")
"""RQ's job options that pass through as they are; durations in seconds."""
KNOWN_OPTIONS = {
    "schedule",
    "every",
    "offset",
    "cadence",
    "timezone",
    "name",
    "renamed_from",
    "description",
    "queue",
    "overlap",
    "catch_up",
    "max_lateness",
    "jitter",
    "max_failures",
    "max_age",
    "enabled",
    "idempotent",
    "store_result",
    "retry",
    "tries",
    "args",
    "kwargs",
    *RQ_OPTIONS,
}


def with_defaults(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of one cron, filled up with RQCRON_DEFAULTS."""
    defaults = getattr(settings, "RQCRON_DEFAULTS", {})
    return {**(defaults if isinstance(defaults, dict) else {}), **given}


def definition_of(
    name: str, function: Callable[..., Any], options: Mapping[str, Any]
) -> Definition:
    """What the log has to know of a cron. Raises CronConfigError for the first option that is
    wrong; ``args`` and ``kwargs`` are not looked at."""
    where = f"Cron {name!r}"
    if "positional" in options:
        raise CronConfigError(
            f"{where}: register_cron({options['positional']!r}) is invalid: options are given by "
            f"name, such as schedule={options['positional']!r}."
        )
    for key in options:
        if key not in KNOWN_OPTIONS:
            near = difflib.get_close_matches(key, KNOWN_OPTIONS, n=1)
            hint = (
                f"did you mean {near[0]!r}?"
                if near
                else f"known: {', '.join(sorted(KNOWN_OPTIONS))}."
            )
            raise CronConfigError(f"{where}: option {key!r} is unknown; {hint}")
    if len(name) > NAME_LENGTH_MAX or not name.isprintable() or not name.strip():
        raise CronConfigError(
            f"{where}: the name must be printable and have at most {NAME_LENGTH_MAX} characters."
        )
    if name.startswith("-"):
        raise CronConfigError(
            f"{where}: the name begins with -, which commands read as an option. Give another name=; "
            "commands reach one that is in the log already behind --, such as cron_explain -- "
            f"{name}."
        )
    _check_renamed_from(where, name, options.get("renamed_from"))
    definition = Definition(
        name=name,
        function=f"{getattr(function, '__module__', None)}:"
        f"{getattr(function, '__qualname__', name)}",
        **_schedule(where, options),
        queue=_queue(where, options),
        description=_description(function, options),
        overlap=_choice(where, options, "overlap", Overlap),
        catch_up=_choice(where, options, "catch_up", CatchUp),
        max_lateness_seconds=_seconds(where, options, "max_lateness"),
        jitter_seconds=_seconds(where, options, "jitter") or 0,
        max_failures=_count(where, options, "max_failures"),
        max_age_seconds=_seconds(where, options, "max_age"),
        disabled=_disabled(name, where, options),
        idempotent=bool(options.get("idempotent", False)),
        store_result=bool(options.get("store_result", False)),
        retries=_retries(where, options),
        options=_rq_options(where, options),
    )
    definition = _as_logged(where, definition)
    try:
        _ = definition.schedule
    except ValueError as error:
        raise CronConfigError(f"{where}: {error}.") from error
    return definition


def _as_logged(where: str, definition: Definition) -> Definition:
    """The definition as the log will give it back, of plain values only: what the database refuses
    is refused here, where it is one cron's mistake and not that of a whole batch."""
    data = definition.to_data()
    found = why_not_storable(data)
    if found:
        raise CronConfigError(f"{where}: {found}. The log cannot store that; take it out.")
    text = json.dumps(data, ensure_ascii=False, allow_nan=False)
    size = len(text.encode())
    if size > DEFINITION_BYTES_MAX:
        largest = max(data, key=lambda key: len(json.dumps(data[key])))
        raise CronConfigError(
            f"{where}: the definition has {size} bytes, most of them in {largest}; at most "
            f"{DEFINITION_BYTES_MAX} are allowed. Keep large values elsewhere and name them in "
            "meta or args."
        )
    return Definition.from_data(json.loads(text))


def _short(value: Any) -> str:
    """For a message, which is read in a terminal and may itself go into a log."""
    try:
        text = ascii(value)
    except Exception:  # of the value's own class, or nested too deeply
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 100 else f"{text[:100]}..."


def _schedule(where: str, options: Mapping[str, Any]) -> dict[str, Any]:
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


def _queue(where: str, options: Mapping[str, Any]) -> str:
    queue = str(options.get("queue") or "default")
    queues = getattr(settings, "RQ_QUEUES", {})
    if queue not in queues:
        raise CronConfigError(
            f"{where}: queue {queue!r} is not in RQ_QUEUES; use one of "
            f"{', '.join(sorted(queues)) or '(none are defined)'}, or add it there."
        )
    return queue


def _description(function: Callable[..., Any], options: Mapping[str, Any]) -> str:
    text = options.get("description") or (inspect.getdoc(function) or "").partition("\n")[0]
    return str(text)


def _choice(where: str, options: Mapping[str, Any], key: str, enum: Any) -> Any:
    default = next(iter(enum))
    try:
        return enum(options.get(key, default))
    except ValueError as error:
        known = ", ".join(repr(item.value) for item in enum)
        raise CronConfigError(
            f"{where}: {key}={options[key]!r} is invalid: use one of {known}."
        ) from error


def _seconds(where: str, options: Mapping[str, Any], key: str) -> float | None:
    value = options.get(key)
    if value is None:
        return None
    if not isinstance(value, timedelta):
        raise CronConfigError(f"{where}: {key}={value!r} is invalid: give a datetime.timedelta.")
    if value < timedelta(0):
        raise CronConfigError(f"{where}: {key}={value} is negative; give zero or more.")
    if value.total_seconds() > DURATION_SECONDS_MAX:
        raise CronConfigError(f"{where}: {key}={value} is more than a century; give less.")
    return value.total_seconds()


def _count(where: str, options: Mapping[str, Any], key: str) -> int | None:
    value = options.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= COUNT_MAX:
        raise CronConfigError(
            f"{where}: {key}={_short(value)} is invalid: give a number from 0 to {COUNT_MAX:,}."
        )
    return value


def _disabled(name: str, where: str, options: Mapping[str, Any]) -> str:
    """What disables the cron, or nothing. What the settings say of its name goes before its code,
    and that before what they say of all. A setting that is wrong is a finding of the checks."""
    enabled = options.get("enabled", True)
    if not isinstance(enabled, bool):
        raise CronConfigError(f"{where}: enabled={_short(enabled)} is invalid: give True or False.")
    setting = getattr(settings, "RQCRON_ENABLED", True)
    by_name = setting if isinstance(setting, dict) else {"*": setting}
    if name in by_name:
        return "" if by_name[name] else "RQCRON_ENABLED"
    if not enabled:
        by_default = with_defaults({}).get("enabled") is False
        return "RQCRON_DEFAULTS" if by_default else "enabled=False"
    return "" if by_name.get("*", True) else "RQCRON_ENABLED"


def _retries(where: str, options: Mapping[str, Any]) -> Retries | None:
    retry, tries = options.get("retry"), options.get("tries")
    if retry is not None and tries is not None:
        raise CronConfigError(f"{where}: retry and tries exclude each other; give one.")
    if tries is not None:
        if not isinstance(tries, int) or isinstance(tries, bool) or tries < 1:
            raise CronConfigError(f"{where}: tries={tries!r} is invalid: give 1 or more.")
        retry = tries - 1
    if retry is None or retry == 0:
        return None
    if isinstance(retry, int) and not isinstance(retry, bool) and 0 < retry <= RETRIES_MAX:
        return Retries(max=retry)
    if not hasattr(retry, "max") or not hasattr(retry, "intervals"):
        raise CronConfigError(
            f"{where}: retry={retry!r} is invalid: give a number of retries up to {RETRIES_MAX:,}, or "
            "rq.Retry(max=...)."
        )
    return _rq_retry(where, retry)


def _rq_retry(where: str, retry: Any) -> Retries:
    """RQ's Retry checks little, and its fields may be changed after that."""
    most, intervals = retry.max, retry.intervals
    if not isinstance(most, int) or isinstance(most, bool) or not 0 < most <= RETRIES_MAX:
        raise CronConfigError(
            f"{where}: retry has max={_short(most)}; give a number from 1 to {RETRIES_MAX:,}."
        )
    if not isinstance(intervals, list | tuple) or not all(map(_is_interval, intervals)):
        raise CronConfigError(
            f"{where}: retry has intervals={_short(intervals)}; give seconds, each from 0 to "
            f"{DURATION_SECONDS_MAX:,}."
        )
    return Retries(
        max=most,
        intervals=tuple(intervals) or (0,),
        enqueue_at_front=bool(getattr(retry, "enqueue_at_front", False)),
    )


def _is_interval(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return math.isfinite(value) and 0 <= value <= DURATION_SECONDS_MAX


def _rq_options(where: str, options: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in RQ_OPTIONS:
        value = options.get(key)
        if value is None or value is False:
            continue
        if isinstance(value, timedelta):
            value = int(value.total_seconds())
        if key == "meta":
            if not isinstance(value, Mapping) or not _is_json(value):
                raise CronConfigError(
                    f"{where}: meta={_short(value)} is invalid: give a dict of JSON."
                )
            value = dict(value)
        elif key == "at_front":
            value = bool(value)
        else:
            _check_rq_seconds(where, key, value)
        found[key] = value
    return found


def _check_rq_seconds(where: str, key: str, value: Any) -> None:
    if key == "ttl" and value == -1:
        raise CronConfigError(
            f"{where}: ttl=-1 is invalid: RQ does not accept it. Leave ttl out, and a job waits for "
            "a worker without a limit."
        )
    if not isinstance(value, int) or isinstance(value, bool) or value < -1:
        no_limit = "" if key == "ttl" else " (-1: no limit)"
        raise CronConfigError(
            f"{where}: {key}={_short(value)} is invalid: give whole seconds{no_limit}."
        )
    if value == 0 and key in ("timeout", "ttl"):
        raise CronConfigError(f"{where}: {key}=0 is invalid: give at least one second.")
    most = TIMEOUT_SECONDS_MAX if key == "timeout" else DURATION_SECONDS_MAX
    if value > most:
        no_limit = "leave it out" if key == "ttl" else "give -1"
        raise CronConfigError(
            f"{where}: {key}={_short(value)} is invalid: give at most {most:,} seconds, or {no_limit} "
            "for no limit."
        )


def _check_renamed_from(where: str, name: str, former: object) -> None:
    if former is not None and (not isinstance(former, str) or former.strip() in ("", name)):
        raise CronConfigError(
            f"{where}: renamed_from={_short(former)} is invalid: give the name that it had before."
        )


def _is_json(value: Any, depth: int = 0) -> bool:
    if depth > NESTING_MAX:
        return True  # said by _as_logged, with the bound
    match value:
        case None | bool() | int() | float() | str():
            return True
        case list():
            return all(_is_json(item, depth + 1) for item in value)
        case Mapping():
            return all(
                isinstance(key, str) and _is_json(item, depth + 1) for key, item in value.items()
            )
        case _:
            return False


def function_fault(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> str:
    """Why a worker could not run the function with these arguments, as far as can be seen without
    calling it; empty when nothing is seen."""
    module = getattr(function, "__module__", None)
    if module == "__main__":
        return "it is defined in __main__, which no worker imports. Move it into a crons module"
    if inspect.isclass(function):
        return "it is a class, so each run would only make an object. Decorate a function"
    if getattr(function, "__name__", "") == "<lambda>":
        return (
            "it is a lambda, of which lists and tracebacks tell nothing. Write a function with def"
        )
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return (
            "it is a generator (it has a yield), so a run would do nothing. Return instead of yield"
        )
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except TypeError as error:
        return _why_not_callable(function, error)
    except Exception:  # of a signature that cannot be had, or of the user's own
        return ""
    return ""


def _why_not_callable(function: Callable[..., Any], error: TypeError) -> str:
    owner = str(getattr(function, "__qualname__", "")).rpartition(".")[0].rpartition(".")[2]
    if "'self'" in str(error) and owner.isidentifier():
        return (
            f"it is a method of {owner}, and a run has no object to call it on. Decorate a function, or a "
            "staticmethod"
        )
    return f"it does not take its arguments: {error}. Correct args= and kwargs=, or the function"
