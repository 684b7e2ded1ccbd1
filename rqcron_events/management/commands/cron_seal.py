"""Seal what is new in the log now, make a key, or show it."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser

from ...conf import conf
from ...core.seal.note import new_signer
from ...seals.courier import deliver_all
from ...seals.keys import public_key, require_packages, required_signer
from ...seals.progress import of_receiver, progress
from ...seals.sealer import seal_all
from ...seals.stored import newest_seal
from ...seals.tiles_again import make_tiles_again
from ..command import LedgerCommand

WAIT_SECONDS_MAX = 60.0
"""How long receivers are waited for."""


class Command(LedgerCommand):
    help = "Seal what is new in the log and tell the receivers. Exit 1 if one did not take it."

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument(
            "--new-key",
            metavar="NAME",
            help="Print a new private key and its public one instead; NAME is the log's, as in "
            "example.org/crons.",
        )
        what.add_argument("--key", action="store_true", help="Print the public key instead.")
        what.add_argument(
            "--tiles", action="store_true", help="Make damaged tiles again out of the log instead."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["new_key"] is not None:
            self._new_key(options["new_key"])
        elif options["key"]:
            self.stdout.write(public_key())
        elif options["tiles"]:
            self.stdout.write(f"The tiles of {make_tiles_again():,} events are made again.")
        else:
            self._seal()

    def _new_key(self, name: str) -> None:
        require_packages()
        try:
            key = new_signer(name)
        except ValueError as error:
            raise CommandError(f"--new-key: {error}.") from None
        self.stdout.write(f"RQCRON_SEAL_KEY (a secret): {key.secret_text()}")
        self.stdout.write(f"Public key (for everybody): {key.verifier.text}")

    def _seal(self) -> None:
        events = seal_all(required_signer())
        newest = newest_seal()
        self.stdout.write(
            f"{events:,} events were sealed; {newest.size if newest else 0:,} are in all."
        )
        deliver_all(WAIT_SECONDS_MAX)
        late = [name for name in conf().seal_receivers if not self._has_it(name)]
        if late:
            sys.exit(1)

    def _has_it(self, name: str) -> bool:
        row, newest = progress(of_receiver(name)), newest_seal()
        if newest is None:
            return True
        if row is not None and row.failing_since is not None:
            self.stdout.write(f"Receiver {name} did not take it: {row.told}.")
            return False
        if row is None or row.size < newest.size:
            self.stdout.write(f"Receiver {name} has not answered yet.")
            return False
        self.stdout.write(f"Receiver {name} has it.")
        return True
