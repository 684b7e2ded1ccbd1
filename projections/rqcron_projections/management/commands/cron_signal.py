"""``cron_signal``: whom alerts go to, what became of them, and whether a receiver takes one now."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from django.core.management.base import CommandError, CommandParser

from rqcron_events import clock
from rqcron_events.cli.tables import add_format, print_rows
from rqcron_events.cli.times import zone_of
from rqcron_events.core.wording import did_you_mean
from rqcron_events.management.command import LedgerCommand

from ...signals.alerts.conf import Receiver, alert_conf
from ...signals.alerts.message import message_of
from ...signals.alerts.outbox import receiver_rows
from ...signals.alerts.receivers import NotTaken, send

COLUMNS = ("receiver", "kind", "rules", "waiting", "sent", "last_sent_at", "failed", "last_failure")


class Command(LedgerCommand):
    """With a receiver, nothing is written to the outbox: it is asked directly."""

    help = (
        "List the receivers of alerts, what each was sent last and what it did not take; or send one a "
        "test: an alert, and its recovery."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--test", metavar="RECEIVER", help="Send a test, and print the answer.")
        add_format(parser, "table", "json")

    def handle(self, **options: Any) -> None:
        receivers = alert_conf().receivers
        if options["test"] is None:
            print_rows(
                self.stdout,
                receiver_rows(),
                COLUMNS,
                options["format"],
                fields=list(COLUMNS),
                zone=zone_of(""),
                empty="No receiver is in RQCRON_ALERTS.",
            )
            return
        receiver = receivers.get(options["test"])
        if receiver is None:
            known = ", ".join(sorted(receivers)) or "none"
            hint = did_you_mean(options["test"], receivers)
            text = f"No receiver is named {options['test']!r}. Known: {known}. {hint}"
            raise CommandError(text.rstrip())
        for change in ("opened", "recovered"):
            self._send(receiver, change)

    def _send(self, receiver: Receiver, change: str) -> None:
        at = clock.now().isoformat()
        sentence = f"This is a test of cron_signal: an alert that has {change}. Nothing is wrong."
        if change == "opened":
            sentence = "This is a test of cron_signal: an alert opens. Nothing is wrong."
        alert: dict[str, Any] = {
            **dict.fromkeys(("explanation", "link", "cron"), ""),
            **dict.fromkeys(("slot", "run_id")),
            "rule": "test",
            "when": "test",
            "change": change,
            "at": at,
            "sentence": sentence,
            "evidence": [],
        }
        body = {"type": "rqcron.alerts", "timestamp": at, "alerts": [alert]}
        try:
            answer = send(receiver, message_of(uuid4(), body))
        except NotTaken as error:
            raise CommandError(
                f"Receiver {receiver.name!r} did not take the test ({change}): {error}. Look at its "
                "address and key in RQCRON_ALERTS, and at its own log."
            ) from None
        self.stdout.write(f"{change}: {answer}")
