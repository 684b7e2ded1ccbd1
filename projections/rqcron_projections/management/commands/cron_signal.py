"""``cron_signal``: whom alerts and check-ins go to, what became of them, and whether one takes them now."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from django.core.management.base import CommandError, CommandParser

from rqcron_events import clock
from rqcron_events.cli.tables import add_format, print_rows
from rqcron_events.cli.times import zone_of
from rqcron_events.core.wording import did_you_mean, shown
from rqcron_events.management.command import LedgerCommand

from ...signals.alerts.conf import Receiver, alert_conf
from ...signals.alerts.message import message_of
from ...signals.alerts.outbox import receiver_rows
from ...signals.alerts.receivers import send
from ...signals.checkins import trial
from ...signals.checkins.conf import Monitor, monitors
from ...signals.checkins.watch import monitor_rows
from ...signals.http import NotTaken

COLUMNS = (
    "receiver",
    "kind",
    "rules",
    "waiting",
    "sent",
    "last_sent_at",
    "failed",
    "left_out",
    "last_failure",
)


class Command(LedgerCommand):
    """With a receiver or a monitor, nothing is written to an outbox: it is asked directly."""

    help = (
        "List the receivers of alerts and the monitors of check-ins, what each was sent last and what it "
        "did not take; or send one a test."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--test",
            metavar="NAME",
            help="Send a receiver or a monitor a test, and print the answer.",
        )
        parser.add_argument(
            "--cron",
            metavar="NAME",
            help="With --test MONITOR: tell its check of this cron of a run that succeeded.",
        )
        add_format(parser, "table", "json")

    def handle(self, **options: Any) -> None:
        name = options["test"]
        if name is None:
            self._list(options["format"])
            return
        receivers, known_monitors = alert_conf().receivers, monitors()
        if name in receivers:
            for change in ("opened", "recovered"):
                self._send(receivers[name], change)
        elif name in known_monitors:
            self._check_in(known_monitors[name], options["cron"] or "")
        else:
            names = [*receivers, *known_monitors]
            known = ", ".join(sorted(names)) or "none"
            text = f"No receiver or monitor is named {name!r}. Known: {known}. "
            raise CommandError((text + did_you_mean(name, names)).rstrip())

    def _list(self, output_format: str) -> None:
        rows = [{**row, "left_out": 0, "remarks": []} for row in receiver_rows()] + monitor_rows()
        print_rows(
            self.stdout,
            rows,
            COLUMNS,
            output_format,
            fields=list(COLUMNS),
            zone=zone_of(""),
            empty="No receiver is in RQCRON_ALERTS, and no monitor in RQCRON_CHECKINS.",
        )
        if output_format == "table":
            for row in rows:
                for remark in row["remarks"]:
                    self.stdout.write(shown(f"Monitor {row['receiver']}: {remark}"))

    def _check_in(self, monitor: Monitor, cron: str) -> None:
        try:
            for said, answer in trial.check_ins(monitor, cron):
                self.stdout.write(f"{said}: {answer}")
        except LookupError as error:
            raise CommandError(error.args[0]) from None
        except NotTaken as error:
            raise CommandError(
                f"Monitor {monitor.name!r} did not take the test: {error}. Look at its keys and "
                "names of checks in RQCRON_CHECKINS, and at its own pages."
            ) from None

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
