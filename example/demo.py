"""The demo: a site checker with a digest, and its ledger live in the terminal.

python example/demo.py [--seconds N]
"""

from __future__ import annotations

import argparse
import fcntl
import json
import logging
import os
import secrets
import shutil
import socket
import sys
import tempfile
from io import StringIO
from pathlib import Path
from time import monotonic
from typing import IO

EXAMPLE = Path(__file__).resolve().parent
TOUR_SECONDS = 60
"""When the questions are asked; earlier when the demo is shorter."""
POLL_SECONDS = 0.2
DEMOS_MAX = 20
"""How many have a directory here; any others use temporary ones."""


def main() -> int:
    parser = argparse.ArgumentParser(description="A site checker with a digest.")
    parser.add_argument(
        "--seconds", type=float, help="how long the crons run (default: until Ctrl-C)"
    )
    seconds = parser.parse_args().seconds
    var, _lock = own_directory()
    os.environ["DEMO_VAR"] = str(var)
    os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
    redis, web = free_ports(2)
    (var / "ports.json").write_text(json.dumps({"redis": redis, "web": web}))

    import django

    django.setup()
    with (var / "processes.log").open("ab", buffering=0) as log:
        return Demo(var, log).run(seconds)


def own_directory() -> tuple[Path, IO[str] | None]:
    """An empty directory that no other demo uses, and the lock that says so."""
    base = EXAMPLE / "var"
    for number in range(1, DEMOS_MAX + 1):
        try:
            base.mkdir(exist_ok=True)
            lock = (base / f"demo-{number}.lock").open("w")
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            directory = base / f"demo-{number}"
            if directory.exists():
                shutil.rmtree(directory)
            directory.mkdir()
        except BlockingIOError:  # another demo has it
            continue
        except OSError:  # not ours to write
            break
        return directory, lock
    return Path(tempfile.mkdtemp(prefix="rqcron-demo-")), None


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(server.getsockname()[1]) for server in sockets]
    for server in sockets:
        server.close()
    return ports


class Demo:
    def __init__(self, var: Path, log: IO[bytes]) -> None:
        from rich.console import Console
        from settings import PORTS

        from rqcron_events.standalone.supervisor import Standalone

        self.var = var
        self.console = Console(highlight=False)
        self.parts = Standalone(
            queues=["default", "slow"],
            web_port=PORTS["web"],
            workers=2,
            output=log,
            say=self.say,
        )
        self.position = 0
        """How much of the ledger is on the screen."""

    def run(self, seconds: float | None) -> int:
        from rqcron_events.errors import CronError

        self.parts.listen()
        tour_at = TOUR_SECONDS if seconds is None else min(TOUR_SECONDS, seconds * 0.8)
        died = ""
        try:
            self.start()
            began = monotonic()
            while not (died or self.parts.ending.wait(POLL_SECONDS)):
                self.show_new_events()
                if tour_at is not None and monotonic() - began > tour_at:
                    self.ask()
                    tour_at = None
                if seconds is not None and monotonic() - began > seconds:
                    break
                died = self.parts.died()
        except CronError as error:
            died = str(error)
        finally:
            if died:
                self.say(died)
            self.parts.stop()
        self.show_new_events()
        self.say_results()
        return 1 if died else 0

    def start(self) -> None:
        from django.core.management import call_command
        from screen import heading, show
        from sites.models import Site

        self.say("rqcron-events: a site checker with a digest, and its ledger, live.\n")
        self.say(f"files     {self.var}")
        self.say("log       processes.log there: what RQ and the web server say")
        call_command("migrate", verbosity=0)
        for name in ("ok", "slow", "flaky"):
            Site.objects.create(name=name, path=f"/{name}/")
        self.write_past()
        self.parts.start()
        self.say_login()
        self.say("\nAsk it yourself, in another terminal:")
        self.say(f"DEMO_VAR={self.var} {sys.executable} {EXAMPLE / 'manage.py'} cron_list\n")
        self.say("Ctrl-C ends everything.\n")
        show(self.console, heading())
        if self.wait_for("remind_owner"):
            why = "to show what a pause looks like"
            call_command("cron_pause", "remind_owner", reason=why, by="demo", stdout=StringIO())

    def write_past(self) -> None:
        """Nine days of some crons, so that the pages have something to show."""
        from past import Past
        from rqcron_projections.projector import catch_up

        from rqcron_events import clock
        from rqcron_events.ledger import store

        logging.disable(logging.WARNING)  # the crons of then are no news
        Past(clock.now()).write()
        while catch_up():  # else the first page shows a past that is half told
            pass
        logging.disable(logging.NOTSET)
        self.position = store.fence() or 0

    def say_login(self) -> None:
        """The pages ask who somebody is; this demo's one user may do everything."""
        from django.contrib.auth.models import User
        from django.urls import reverse
        from settings import PORTS, SITE_URL

        password = secrets.token_urlsafe(9)
        User.objects.create_superuser("demo", password=password)
        overview = reverse("admin:rqcron_overview")
        self.wait_for_web(PORTS["web"])
        self.say(f"pages     {SITE_URL}{overview}  user demo, password {password}")

    def wait_for_web(self, port: int) -> None:
        """Until a browser may be sent there, or the demo ends first."""
        while not (self.parts.ending.wait(POLL_SECONDS) or self.parts.died()):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return

    def wait_for(self, cron: str) -> bool:
        """Show events until a runner has registered the cron; False when the demo ends first."""
        from rqcron_events.models import CronEvent

        registered = CronEvent.objects.for_cron(cron).of_type("cron_registered")
        while not registered.exists():
            self.show_new_events()
            if self.parts.ending.wait(POLL_SECONDS) or self.parts.died():
                return False
        return True

    def show_new_events(self) -> None:
        from screen import line, show

        from rqcron_events.ledger import store

        page = store.tail(self.position)
        self.position = page.position
        for event in page.events:
            show(self.console, line(event))
        self.console.file.flush()

    def ask(self) -> None:
        from tour import tour

        tour(self.console)

    def say_results(self) -> None:
        """What the crons did in the world."""
        from sites.models import Check

        mails = len(list((self.var / "mail").glob("*.log")))
        checks = Check.objects.count()
        self.say(f"The crons wrote {checks} checks to the database and sent {mails} mails.")

    def say(self, text: str) -> None:
        self.console.print(text, soft_wrap=True, markup=False)
        self.console.file.flush()


if __name__ == "__main__":
    sys.exit(main())
