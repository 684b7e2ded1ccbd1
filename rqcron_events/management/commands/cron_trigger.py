"""Run a cron now, beside its schedule."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from ...cli.problems import require_queues
from ...cli.times import parse_instant
from ...core.wording import disabled_words, shower
from ...operations import controls
from ..command import LedgerCommand, add_actor_options, requested_text


class Command(LedgerCommand):
    help = (
        "Start a run now, even if the cron is paused or another run is active; its schedule does not "
        "change."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument(
            "--at", metavar="TIME", help="Start at this time instead: 2h, 'tomorrow 8am'."
        )
        parser.add_argument(
            "--args",
            dest="run_args",  # Django keeps "args" for itself
            metavar="JSON",
            help="Positional arguments of this run, such as '[1, \"b\"]'; stored in the log.",
        )
        parser.add_argument(
            "--kwargs",
            metavar="JSON",
            help="Keyword arguments, such as '{\"dry\": true}'; stored in the log.",
        )
        add_actor_options(parser, "Why.")

    def handle(self, *args: Any, **options: Any) -> None:
        require_queues()
        at = None
        if options["at"] is not None:
            at = parse_instant(options["at"], "--at", cron=options["name"], future=True)
        run_id = controls.trigger(
            options["name"],
            at=at,
            args=_json(options["run_args"], "--args", list),
            kwargs=_json(options["kwargs"], "--kwargs", dict),
            reason=options["reason"],
            by=options["by"],
        )
        self.stdout.write(str(run_id))
        phase = controls.known_state(options["name"]).current
        show = shower(phase.definition if phase else None)
        self.stderr.write(requested_text(run_id, f", and begins at {show(at)}" if at else ""))
        disabled = phase.disabled if phase else None
        if disabled is not None:
            why = disabled_words(disabled.reason, disabled.since, shower(None))
            self.stderr.write(f"{options['name']} is {why}; this run is made all the same.")


def _json(text: str | None, option: str, kind: type) -> Any:
    """Raises CommandError unless it is JSON of that kind."""
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise CommandError(f"{option} {text!r} is not JSON: {error}.") from error
    if not isinstance(value, kind):
        what = "a list, such as '[1, 2]'" if kind is list else "an object, such as '{\"a\": 1}'"
        raise CommandError(f"{option} {text!r} is not {what}.")
    return value
