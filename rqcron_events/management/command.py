"""What the commands share: errors in one line, and the options that many have."""

from __future__ import annotations

import os
import select
import sys
import traceback
from typing import Any
from uuid import UUID

from django.core.management.base import (
    BaseCommand,
    CommandError,
    CommandParser,
    OutputWrapper,
)
from django.db import DatabaseError

from ..cli.problems import database_problem
from ..cli.terminal import Terminal
from ..conf import conf
from ..core.codec import NewerEvent
from ..core.seal.note import Verifier
from ..errors import CronError
from ..seals.keys import require_packages

__all__ = [
    "LedgerCommand",
    "add_actor_options",
    "add_key_option",
    "add_name_or_all",
    "public_key",
    "requested_text",
    "require_name_or_all",
]

ENDED_BY_SIGPIPE = 141
"""As shells tell it: 128, and the number of the signal."""


class LedgerCommand(BaseCommand):
    """A command that answers even when some cron of the project is wrong."""

    requires_system_checks = ()
    """One broken cron must not stop an operator's question, nor the runner (I10)."""

    def __setattr__(self, name: str, value: Any) -> None:
        """Django sets both streams, at first and again for ``call_command``: ours stand before them."""
        if name in ("stdout", "stderr") and type(value) is OutputWrapper:
            value = Terminal(value._out, value.ending)  # type: ignore[arg-type]
        super().__setattr__(name, value)

    def run_from_argv(self, argv: list[str]) -> None:
        """End quietly when the reader of a pipe has seen enough, as ``head`` does.

        The exit code is then that of a tool that SIGPIPE ended, unless the command had its own.
        Any other broken pipe is an error like others.
        """
        try:
            try:
                super().run_from_argv(argv)
            finally:
                # Now: at exit, Python can only complain.
                sys.stdout.flush()
        except BrokenPipeError as error:
            if not _drop_unread_output():
                raise
            if isinstance(error.__context__, SystemExit):
                raise error.__context__ from None
            sys.exit(ENDED_BY_SIGPIPE)

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            conf()  # a wrong setting is said before anything is done
            _check_text(options)
            return super().execute(*args, **options)
        except (CronError, NewerEvent) as error:
            raise CommandError(str(error)) from error
        except BrokenPipeError as error:
            # What is half read is closed now: Django closes the connections next, and a cursor that
            # the traceback keeps would complain then.
            traceback.clear_frames(error.__traceback__)
            raise
        except DatabaseError as error:
            raise CommandError(database_problem(error)) from error


def _drop_unread_output() -> bool:
    """Whether nobody reads stdout or stderr any more; what is left in their buffers is dropped."""
    found = False
    for stream in (sys.stdout, sys.stderr):
        poll = select.poll()
        poll.register(stream.fileno(), 0)
        if any(what & (select.POLLERR | select.POLLHUP) for _, what in poll.poll(0)):
            found = True
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
    return found


def _check_text(options: dict[str, Any]) -> None:
    """What a shell passes on may be no text at all; no database could look for it or keep it."""
    for name, value in options.items():
        for text in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(text, str) and ("\0" in text or not _is_utf8(text)):
                raise CommandError(
                    f"{name} {text!a} has NUL, or bytes that are not UTF-8. Give plain text."
                )


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def requested_text(run_id: UUID, begins: str = "") -> str:
    """For people, beside the id that scripts read: what was done, and where to look next."""
    short = str(run_id)[:8]
    return f"Run {short} is requested{begins}. cron_explain --run {short} tells what becomes of it."


def add_actor_options(parser: CommandParser, reason_help: str) -> None:
    parser.add_argument("--reason", default="", help=reason_help)
    parser.add_argument(
        "--by", default=None, help="Who does it, for the log; default: the OS user."
    )


def add_name_or_all(parser: CommandParser, all_help: str) -> None:
    parser.add_argument("name", nargs="?")
    parser.add_argument("--all", action="store_true", help=all_help)


def require_name_or_all(options: dict[str, Any]) -> None:
    """Raises CommandError unless exactly one of the two was given."""
    if options["name"] and options["all"]:
        raise CommandError(f"Give {options['name']!r} or --all, not both.")
    if not (options["name"] or options["all"]):
        raise CommandError("Give the name of a cron, or --all.")


def add_key_option(parser: CommandParser) -> None:
    parser.add_argument("--key", metavar="KEY", help="The public key; default: RQCRON_SEAL_KEY's.")


def public_key(text: str | None) -> Verifier | None:
    """What ``--key`` gave; None: nothing. Raises CommandError for what is no public key."""
    if text is None:
        return None
    require_packages()
    try:
        return Verifier.of(text)
    except ValueError as error:
        raise CommandError(
            f"--key {text!r} is no public key: {error}. cron_seal --key shows it."
        ) from None
