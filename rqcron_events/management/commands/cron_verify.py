"""Is the log still what was sealed?"""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.timezone import get_default_timezone

from ...cli.terminal import json_text
from ...conf import conf
from ...core.wording import duration, shower_in
from ...seals.keys import verifiers
from ...seals.outside import ask_receivers, read_outside
from ...seals.stored import newest_seal
from ...seals.verify import Verification, verify
from ..command import LedgerCommand, add_key_option, public_key


class Command(LedgerCommand):
    help = (
        "Compare the log with its seals, and with checkpoints that were kept outside. Exit 1 and name the "
        "first event that differs, is missing, was added or is out of place."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--checkpoint",
            action="append",
            metavar="FILE|DIR|-",
            default=[],
            help="A checkpoint from outside, a directory of a receiver, or '-'; may be repeated. Default: the newest one of each receiver in the settings that can be read.",
        )
        parser.add_argument(
            "--all",
            action="store_true",
            help="Read the log from its first event; default: from where the last call found it right.",
        )
        add_key_option(parser)
        parser.add_argument(
            "--read-only",
            action="store_true",
            help="Remember nothing in the database; implies --all.",
        )
        parser.add_argument("--format", choices=("table", "json"), default="table")

    def handle(self, *args: Any, **options: Any) -> None:
        keys = verifiers(public_key(options["key"]))
        sources = options["checkpoint"]
        if not keys and (newest_seal() is not None or sources):
            raise CommandError("No key is known. Give --key KEY, or set RQCRON_SEAL_KEY.")
        if sources:
            outside = read_outside(sources, keys, sys.stdin)
        else:
            outside = ask_receivers(conf().seal_receivers if keys else {}, keys)
        found = verify(
            keys,
            outside if outside.claims or outside.refused else None,
            start_over=options["all"] or options["read_only"],
            remember=not options["read_only"],
        )
        if options["format"] == "json":
            self.stdout.write(json_text(found.to_data() | {"not_asked": outside.not_asked}))
        else:
            for line in [*_lines(found), *outside.not_asked]:
                self.stdout.write(line)
        if not found.ok:
            sys.exit(1)


def _lines(found: Verification) -> list[str]:
    lines = [f"WRONG {finding.text}" for finding in found.findings]
    if found.checked_events:
        lines.append(
            f"{found.checked_events:,} events were read in {duration(found.seconds)} "
            f"({found.events_per_second:,.0f} per second)."
        )
    lines += [f"NOT CHECKED: {text}" for text in found.unchecked]
    if found.checked_from:
        lines.append(
            f"The first {found.checked_from:,} events were found right before and not read again; --all "
            "reads them."
        )
    if found.ok:
        against = f" and {found.checkpoints} from outside" if found.checkpoints else ""
        left = " but for what was not checked" if found.unchecked else ""
        lines.append(
            f"OK: {found.sealed_events:,} events, to event {found.sealed_to}, are what was sealed{left}: "
            f"{found.seals} new seals{against} agree."
        )
        if not found.checkpoints:
            lines.append(
                "This does not prove that log and seals were not replaced together by somebody who has "
                "the key; nor that the newest seals were not taken out. --checkpoint does."
            )
    if found.unsealed_events:
        since = shower_in(get_default_timezone())(found.unsealed_since)
        lines.append(f"Not sealed yet: {found.unsealed_events:,} events, since {since}.")
    return lines
