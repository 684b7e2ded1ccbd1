"""Reading and saving the states of the alerts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import Q, QuerySet

from rqcron_events.ledger import store

from ...models import CronJob
from ...report.names import present_name
from ..jobs import jobs_of, parts
from ..models import AlertState
from .conf import AlertConf, Kind
from .state import key_of

__all__ = ["Rows", "all_states", "runner_row", "states_of"]

_FIELDS = tuple(
    item.name for item in AlertState._meta.concrete_fields if item.name != AlertState._meta.pk.name
)


def all_states() -> QuerySet[AlertState]:
    return AlertState.objects.using(store.connection().alias)


def states_of(crons: Iterable[str]) -> dict[str, AlertState]:
    """By key."""
    found = (all_states().filter(cron__in=names) for names in parts(crons))
    return {row.key: row for rows in found for row in rows}


def runner_row(conf: AlertConf) -> AlertState | None:
    """Of the rule about runners."""
    rule = conf.rule_for(Kind.NO_RUNNER)
    return all_states().filter(key=key_of(rule, "")).first() if rule else None


class Rows(dict[str, AlertState]):
    """Rows by key; ``save`` writes those that were changed, or are new."""

    def __init__(self, rows: Iterable[AlertState]) -> None:
        super().__init__({row.key: row for row in rows})
        self._stored = {key: _values(row) for key, row in self.items()}

    @classmethod
    def open_or_told(cls) -> Rows:
        return cls(all_states().filter(Q(is_open=True) | Q(is_told=True)))

    def load(self, keys: Iterable[str]) -> None:
        """Those that are stored and not here yet."""
        for names in parts(set(keys) - self.keys()):
            for row in all_states().filter(key__in=names):
                self[row.key] = row
                self._stored[row.key] = _values(row)

    def leave_out_of_force(self, conf: AlertConf) -> None:
        """Forget what the settings have no rule for any more, or another one."""
        jobs = jobs_of(row.cron for row in self.values() if row.cron)
        left = [key for key, row in self.items() if not _in_force(row, conf, jobs)]
        for keys in parts(left):
            all_states().filter(key__in=keys).delete()
        for key in left:
            del self[key]

    def save(self) -> None:
        changed = [row for key, row in self.items() if self._stored.get(key) != _values(row)]
        all_states().bulk_create(
            changed, 500, update_conflicts=True, unique_fields=["key"], update_fields=_FIELDS
        )


def _in_force(row: AlertState, conf: AlertConf, jobs: dict[str, CronJob]) -> bool:
    rule, job = conf.rules.get(row.rule), jobs.get(row.cron)
    called = present_name(job) if job else row.cron
    return rule is not None and conf.rule_for(rule.kind, called) is rule


def _values(row: AlertState) -> tuple[Any, ...]:
    return tuple(getattr(row, name) for name in _FIELDS)
