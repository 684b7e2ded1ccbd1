"""Do runs succeed? Failures in a row, and how long ago the last success was, by the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Min, OuterRef, Subquery, Value
from django.db.models.functions import Coalesce

from ..conf import conf
from ..core.cron_state import CronState
from ..core.events import SUCCESSES, EventType
from ..core.interventions.pauses import GlobalPauses
from ..core.wording import duration, shower
from ..models import CronEvent, CronEventQuerySet

__all__ = ["Limits", "counts_from", "result_problems"]

FAILURES_TOLD = 3
"""In a row, from which on they are a warning where no limit is set."""
FAILURES_LOOKED_AT_MAX = 500
NAMES_PER_QUERY_MAX = 900
_FAILED = (EventType.RUN_FAILED, EventType.RUN_LOST)
_LONG_AGO = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of every cron that is asked about, in place of what its definition says."""

    max_failures: int | None = None
    """How many runs may fail in a row."""
    max_age: timedelta | None = None
    """How long there may be no success."""


@dataclass(frozen=True, slots=True)
class _Results:
    failures: int
    """In a row, up to now."""
    failing_since: datetime | None
    last_success_at: datetime | None
    """Runs that found nothing to do count as successes here: they did what they were for."""


_NOTHING = _Results(0, None, None)


def result_problems(
    states: Mapping[str, CronState], pauses: GlobalPauses, now: datetime, limits: Limits
) -> tuple[list[str], list[str]]:
    """Problems and warnings, a sentence each. Raises Django's database errors."""
    problems: list[str] = []
    warnings: list[str] = []
    asked = _asked(states, limits)
    results = _results_of(list(asked))
    for name, (failures_max, age_max) in asked.items():
        found = results.get(name, _NOTHING)
        called = states[name].present_name
        if failures_max is not None and found.failures > failures_max:
            problems.append(f"{_failing(called, found)}; the limit is {failures_max}.")
        elif failures_max is None and found.failures >= FAILURES_TOLD:
            warnings.append(f"{_failing(called, found)}.")
        since = counts_from(states[name], pauses, found.last_success_at, now)
        if age_max is not None and since is not None and now - since > age_max:
            problems.append(_too_old(called, found, now - since, age_max))
    return problems, warnings


def _asked(
    states: Mapping[str, CronState], limits: Limits
) -> dict[str, tuple[int | None, timedelta | None]]:
    """The crons that have a limit, and those that failed lately."""
    newest = _rows().of_type(*_FAILED).order_by("-occurred_at")
    lately = set(newest.values_list("cron", flat=True)[:FAILURES_LOOKED_AT_MAX])
    found = {}
    for name, state in states.items():
        definition = state.definition
        if definition is None:
            continue
        failures, age = limits.max_failures, limits.max_age
        if failures is None:
            failures = definition.max_failures
        if age is None and definition.max_age_seconds is not None:
            age = timedelta(seconds=definition.max_age_seconds)
        if name in lately or age is not None:
            found[name] = (failures, age)
    return found


def _results_of(names: Sequence[str]) -> dict[str, _Results]:
    """By name, in one question for many crons."""
    own = _rows().filter(cron=OuterRef("cron"))
    success = own.of_type(EventType.RUN_SUCCEEDED).order_by("-occurred_at").values("occurred_at")
    last = own.of_type(*sorted(SUCCESSES)).order_by("-occurred_at").values("occurred_at")
    failed = (
        own.of_type(*_FAILED)
        .filter(occurred_at__gt=Coalesce(OuterRef("succeeded_at"), Value(_LONG_AGO)))
        .order_by()
        .values("cron")
    )
    registered = _rows().of_type(EventType.CRON_REGISTERED).order_by().values("cron").distinct()
    found: dict[str, _Results] = {}
    for start in range(0, len(names), NAMES_PER_QUERY_MAX):
        rows = registered.filter(cron__in=names[start : start + NAMES_PER_QUERY_MAX])
        for row in rows.annotate(
            succeeded_at=Subquery(success[:1]),
            last_success_at=Subquery(last[:1]),
            failures=Subquery(failed.annotate(count=Count("id")).values("count")),
            since=Subquery(failed.annotate(since=Min("occurred_at")).values("since")),
        ):
            found[row["cron"]] = _Results(
                row["failures"] or 0, row["since"], row["last_success_at"]
            )
    return found


def counts_from(
    state: CronState, pauses: GlobalPauses, last_success_at: datetime | None, now: datetime
) -> datetime | None:
    """From when on there is no success; None while somebody wants none. What was paused has its time
    anew."""
    phase = state.current
    if (
        phase is None
        or phase.disabled
        or pauses.in_force(now)
        or (phase.pause and phase.pause.is_in_force(now))
    ):
        return None
    ended = [pause.until for pause in pauses.pauses if pause.until and pause.until <= now]
    for before, after in zip(state.phases, [*state.phases[1:], None], strict=True):
        if before.pause is not None:
            ends = [before.pause.until, after.start if after else None]
            ended += [end for end in ends if end is not None and end <= now]
        elif (before.definition is None or before.disabled) and after is not None:
            ended.append(after.start)  # it came back
    return max([state.phases[0].start, *ended, *([last_success_at] if last_success_at else [])])


def _failing(name: str, found: _Results) -> str:
    since = shower(None)(found.failing_since)
    runs = f"{found.failures} runs" if found.failures != 1 else "the last run"
    failed = "failed in a row, the first" if found.failures != 1 else "failed,"
    return f"Cron {name!r}: {runs} {failed} at {since}"


def _too_old(name: str, found: _Results, age: timedelta, age_max: timedelta) -> str:
    ago = duration(int(age.total_seconds()))
    last = "no run has succeeded yet"
    if found.last_success_at is not None:
        last = f"the last success was at {shower(None)(found.last_success_at)}"
    return (
        f"Cron {name!r}: no success for {ago}, {last}; the limit is "
        f"{duration(int(age_max.total_seconds()))}."
    )


def _rows() -> CronEventQuerySet:
    return CronEvent.objects.using(conf().database)
