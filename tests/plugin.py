"""Starts the servers before pytest-django loads the settings, which need to know where they are.

Given as ``-p tests.plugin`` in pyproject.toml: a conftest.py would come too late.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from types import FrameType

import pytest

from tests.servers import DATABASES, Servers

SERVERS = pytest.StashKey[Servers]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("rqcron-events").addoption(
        "--ledger-db",
        choices=DATABASES,
        default=None,
        help="database of the ledger; default: that of DATABASE_URL, or else postgresql",
    )


# A wrapper runs before every other implementation, pytest-django's included.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    options = early_config.known_args_namespace
    if not (options.help or options.version):
        servers = Servers(options.ledger_db, os.environ)
        early_config.add_cleanup(servers.stop)
        _turn_termination_into_interrupt()
        os.environ.update(servers.start().environment)
    return (yield)


def pytest_report_header() -> list[str]:
    return [f"servers: {os.environ['DATABASE_URL']} {os.environ['REDIS_URL']}"]


def _turn_termination_into_interrupt() -> None:
    """SIGTERM (``timeout``, a CI runner) ends the run as Ctrl-C does, so that the servers stop."""
    owner = os.getpid()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if os.getpid() == owner:
            raise KeyboardInterrupt
        signal.signal(number, signal.SIG_DFL)  # a child that was forked from the tests
        os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, interrupt)
