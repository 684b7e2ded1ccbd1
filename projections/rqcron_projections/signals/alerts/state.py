"""What a rule knows of a cron, and when that has to be told. Pure: the time comes in."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from ..models import AlertState
from .conf import AlertConf, Rule

__all__ = ["Change", "Told", "close", "key_of", "new_state", "open_", "tell", "tell_all"]


class Change(StrEnum):
    """Of an alert."""

    OPENED = "opened"
    RECOVERED = "recovered"


class Told(NamedTuple):
    """What the receivers of a rule have to be told."""

    rule: Rule
    cron: str
    change: Change
    at: datetime
    detail: dict[str, Any]


def key_of(rule: Rule, cron: str) -> str:
    return f"{rule.name}/{cron}"


def new_state(rule: Rule, cron: str) -> AlertState:
    return AlertState(key=key_of(rule, cron), rule=rule.name, cron=cron)


def open_(row: AlertState, at: datetime, detail: dict[str, Any]) -> None:
    """What is open stays as it is."""
    if not row.is_open:
        row.is_open, row.since, row.detail = True, at, detail


def close(row: AlertState, at: datetime, detail: dict[str, Any]) -> None:
    """An opening that nobody was told of, because of the quiet time, is counted."""
    row.count = 0
    if row.is_open:
        row.untold += not row.is_told
        row.is_open, row.since, row.detail = False, at, detail


def tell(row: AlertState, rule: Rule, now: datetime) -> Told | None:
    """What is to be told now, if anything; the row knows then that it was.

    What was told follows what is: an opening waits for the end of the quiet time, a recovery does not.
    """
    if row.is_open == row.is_told or row.since is None:
        return None
    if row.is_open:
        quiet = timedelta(seconds=rule.quiet_seconds)
        if row.told_at is not None and now < row.told_at + quiet:
            return None
        row.told_at = now
    row.is_told = row.is_open
    detail = dict(row.detail)
    if row.is_open and row.untold:
        detail["untold"], row.untold = row.untold, 0
    change = Change.OPENED if row.is_open else Change.RECOVERED
    return Told(rule, row.cron, change, row.since, detail)


def tell_all(rows: Iterable[AlertState], conf: AlertConf, now: datetime) -> list[Told]:
    """Of rows whose rules are in the settings."""
    told = (tell(row, conf.rules[row.rule], now) for row in rows if row.rule in conf.rules)
    return [item for item in told if item is not None]
