"""What the commands share: errors in one line, and the options that many have."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from ..conf import conf
from ..core.codec import NewerEvent
from ..errors import CronError

__all__ = ["LedgerCommand", "add_actor_options"]


class LedgerCommand(BaseCommand):
    """A command that answers even when some cron of the project is wrong."""

    requires_system_checks = ()
    """One broken cron must not stop an operator's question, nor the runner (I10)."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            conf()  # a wrong setting is said before anything is done
            return super().execute(*args, **options)
        except (CronError, NewerEvent) as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            text = str(error).strip().partition("\n")[0]
            hint = " Run: manage.py migrate" if "rqcron_" in text else ""
            raise CommandError(f"The database does not answer: {text}.{hint}") from error


def add_actor_options(parser: CommandParser, reason_help: str) -> None:
    parser.add_argument("--reason", default="", help=reason_help)
    parser.add_argument("--by", default=None, help="Who asks; default: the OS user.")
