"""What receivers are told: a sentence, the explanation, the evidence, and a link."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.contrib.admin.utils import quote
from django.urls import NoReverseMatch, reverse

from rqcron_events.conf import conf
from rqcron_events.core.bounded import bounded
from rqcron_events.core.explain.explanation import Explanation
from rqcron_events.core.wording import shown
from rqcron_events.queries.explain import explain, explain_run

from ..models import AlertMessage
from .conf import Kind

__all__ = ["EXPLAINED_MAX", "TYPE", "Message", "message_of", "write"]

log = logging.getLogger(__name__)

TYPE = "rqcron.alerts"
EXPLAINED_MAX = 10
"""Alerts of one message that are explained; the others are told in their sentence."""
EVENTS_MAX = 10
SUMMARY_BYTES_MAX = 4_000
SUBJECT_BYTES_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """As it is sent; the same for every try."""

    id: str
    subject: str
    text: str
    """For people."""
    data: dict[str, Any]
    """JSON-ready, for programs."""


def write(rows: Sequence[AlertMessage]) -> dict[str, Any]:
    """What a batch tells, JSON-ready. Asks the log, and for runs that are open RQ, too."""
    alerts = [_alert(row, explained=number < EXPLAINED_MAX) for number, row in enumerate(rows)]
    return {
        "type": TYPE,
        "timestamp": max(row.created_at for row in rows).astimezone(UTC).isoformat(),
        "alerts": alerts,
    }


def message_of(batch: UUID, body: dict[str, Any]) -> Message:
    alerts = body["alerts"]
    subject = alerts[0]["sentence"]
    if len(alerts) > 1:
        counts = [
            f"{sum(alert['change'] == change for alert in alerts)} {change}"
            for change in dict.fromkeys(alert["change"] for alert in alerts)
        ]
        subject = f"{len(alerts)} cron alerts: {', '.join(counts)}"
    return Message(
        id=str(batch),
        subject=bounded(shown(subject), SUBJECT_BYTES_MAX),
        text="\n\n".join(map(_text, alerts)),
        data={"id": str(batch), **body},
    )


def _alert(row: AlertMessage, *, explained: bool) -> dict[str, Any]:
    detail = row.detail
    found = _explained(row) if explained else None
    sentence = shown(detail.get("sentence", ""))
    if detail.get("untold"):
        sentence += f" It came and went {detail['untold']} more times since the last message."
    return {
        "rule": row.rule,
        "when": row.kind,
        "cron": row.cron,
        "change": row.change,
        "at": row.at.astimezone(UTC).isoformat(),
        "slot": detail.get("slot"),
        "run_id": detail.get("run_id"),
        "sentence": sentence,
        "explanation": bounded(found.summary, SUMMARY_BYTES_MAX) if found else "",
        "evidence": _evidence(found) if found else [],
        "link": _link(row.cron, detail),
    }


def _explained(row: AlertMessage) -> Explanation | None:
    """None where there is nothing to explain, or it cannot be: the alert is told without."""
    slot, run_id = row.detail.get("slot"), row.detail.get("run_id")
    try:
        if row.kind in (Kind.FAILING, Kind.RUNNING) and run_id:
            return explain_run(UUID(run_id))
        if row.cron and slot:
            return explain(row.cron, datetime.fromisoformat(slot))
        return explain(row.cron) if row.cron else None
    except Exception as error:
        log.warning(
            "An alert of cron %s is told without its explanation: %s.",
            row.cron,
            type(error).__name__,
            extra={"action": "alert_not_explained", "cron": row.cron},
        )
        return None


def _evidence(found: Explanation) -> list[dict[str, Any]]:
    """The newest events, without what functions returned or raised: that is in the log."""
    return [
        {
            "id": event.id,
            "type": event.type.value,
            "occurred_at": event.occurred_at.astimezone(UTC).isoformat(),
            "actor": event.actor,
            "reason": event.reason,
        }
        for event in found.events[-EVENTS_MAX:]
    ]


def _text(alert: dict[str, Any]) -> str:
    lines = [alert["sentence"]]
    if alert["explanation"]:
        lines += ["", alert["explanation"]]
    if alert["evidence"]:
        lines += ["", "Evidence:"]
        lines += [
            shown(
                " ".join(
                    filter(
                        None,
                        [
                            "  " + str(item["id"]),
                            item["type"],
                            item["occurred_at"],
                            item["actor"],
                            item["reason"],
                        ],
                    )
                )
            )
            for item in alert["evidence"]
        ]
    if alert["link"]:
        lines += ["", alert["link"]]
    return "\n".join(lines)


def _link(cron: str, detail: Mapping[str, Any]) -> str:
    """Of the slot, or else the run, or else the cron; empty without RQCRON_SITE_URL, and where the pages
    are not served."""
    site = conf().site_url.rstrip("/")
    if not site or not cron:
        return ""
    name = quote(cron) if cron.strip(".") else cron.replace(".", "_2E")
    if detail.get("slot"):
        slot = datetime.fromisoformat(detail["slot"]).isoformat().replace("+00:00", "Z")
        page, args = "admin:rqcron_slot", [name, slot]
    elif detail.get("run_id"):
        page, args = "admin:rqcron_run", [detail["run_id"]]
    else:
        page, args = "admin:rqcron_cron", [name]
    try:
        return site + reverse(page, args=args)
    except NoReverseMatch:
        return ""
