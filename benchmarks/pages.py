#!/usr/bin/env python
"""Whether the pages stay quick with many crons and a long log.

``python benchmarks/pages.py [--crons 5000] [--events 10000000]``; see README.md beside this file.
Exit code 1: a page takes too long, asks more with more crons, or scans the log.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from statistics import median
from typing import Any
from urllib.parse import quote

import logs
from logs import BUSY, END, build_log
from questions import _plans, _watched
from servers import COPY, Servers, run_python, servers

SECONDS_MAX = 7_200
ROUNDS = 5
PAGE_MS_MAX = 300
BLOCKS_MAX = 30_000
"""Of 8 KB, that all the queries of a page may touch: a report of a week asks three times about 35,000 rows of days."""
FEW, FEW_EVENTS = 500, 20_000
"""Crons of the log that the number of queries is compared with."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--crons", type=int, default=5_000)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--quick", action="store_true", help="1,000 crons, 100,000 events")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--in-process", choices=["rebuild", "ask"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.in_process:
        print(json.dumps(globals()[f"in_process_{options.in_process}"]()))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    crons, events = (1_000, 100_000) if options.quick else (options.crons, options.events)
    with servers() as found:
        few = measure(found, FEW, FEW_EVENTS)
        many = measure(found, crons, events)
    wrong = list(problems(few, many))
    if options.json:
        print(json.dumps({"few": few, "many": many}, indent=2))
    else:
        print_result(few, many)
    print("".join(f"{problem}\n" for problem in wrong), end="", file=sys.stderr)
    raise SystemExit(1 if wrong else 0)


def measure(found: Servers, crons: int, events: int) -> dict[str, Any]:
    """A log, its projections, and each page, asked for by a browser without a screen."""
    with found.fresh(DJANGO_SETTINGS_MODULE="settings_pages") as environment:
        run_python(["-m", "django", "migrate", "-v", "0"], environment, SECONDS_MAX)
        logs.CRONS = crons
        written = build_log(found.url_of(COPY), events)
        run_python(["pages.py", "--in-process", "rebuild"], environment, SECONDS_MAX)
        pages = json.loads(
            run_python(["pages.py", "--in-process", "ask"], environment, SECONDS_MAX)
        )
    return {"crons": crons, "events": written, "pages": pages}


def problems(few: dict[str, Any], many: dict[str, Any]) -> Iterator[str]:
    for name, page in many["pages"].items():
        if page["status"] != 200:
            yield f"{name}: status {page['status']}"
        if page["whole"]:
            yield f"{name} scans the whole log: {page['whole'][0]}"
        if page["blocks"] > BLOCKS_MAX:
            yield f"{name} reads {page['blocks']:,} blocks"
        if page["ms"] > PAGE_MS_MAX:
            yield f"{name} takes {page['ms']:.0f} ms"
        before = few["pages"][name]["queries"]
        if page["queries"] > before:
            yield f"{name}: {page['queries']} queries, and {before} with fewer crons"


def print_result(few: dict[str, Any], many: dict[str, Any]) -> None:
    for which in (few, many):
        print(f"\n{which['crons']:,} crons, {which['events']:,} events")
        print(
            f"{'page':<34}{'ms':>8}{'database':>10}{'python':>8}{'queries':>9}{'blocks':>9}{'kB':>7}"
        )
        for name, page in which["pages"].items():
            late = "" if page["ms"] <= PAGE_MS_MAX else "  OVER"
            print(
                f"{name:<34}{page['ms']:8.0f}{page['database_ms']:10.0f}{page['python_ms']:8.0f}"
                f"{page['queries']:9}{page['blocks']:9}{page['kb']:7.0f}{late}{'  SCANS THE LOG' if page['whole'] else ''}"
            )


# In the process that is measured


def in_process_rebuild() -> None:
    import django

    django.setup()
    from django.db import connection
    from rqcron_projections.replay.rebuild import rebuild

    rebuild()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def in_process_ask() -> dict[str, dict[str, Any]]:
    """It is the end of the log, to the second: otherwise nothing would be due or recent."""
    import django
    from django.conf import settings

    django.setup()
    settings.ALLOWED_HOSTS = ["*"]
    from django.contrib.auth.models import User
    from django.test import Client

    from rqcron_events.testing import FakeClock

    client = Client(raise_request_exception=False)
    user, _ = User.objects.get_or_create(username="bench", is_staff=True, is_superuser=True)
    client.force_login(user)
    found: dict[str, dict[str, Any]] = {}
    with FakeClock(END):
        paths = addresses()
        for name, path in paths.items():
            with _watched() as seen:
                response = client.get(path)
            plans = _plans([item for item in seen if item[0].lstrip("( ").startswith("SELECT")])
            found[name] = {
                "status": response.status_code,
                "kb": len(response.content) / 1000,
                "queries": len(seen),
                **plans,
                "times": [],
            }
        for _ in range(ROUNDS):
            for name, path in paths.items():
                began, processor = time.perf_counter(), time.process_time()
                with _watched() as seen:
                    client.get(path)
                took, processor = time.perf_counter() - began, time.process_time() - processor
                # An idle log is looked at more closely every few seconds, whatever the page.
                found[name]["queries"] = min(found[name]["queries"], len(seen))
                found[name]["times"].append((took, sum(item[2] for item in seen), processor))
    for page in found.values():
        times = zip(*page.pop("times"), strict=True)
        page["ms"], page["database_ms"], page["python_ms"] = (median(each) * 1000 for each in times)
    return found


def addresses() -> dict[str, str]:
    """Each page, and what it is about: the cron with the longest history, and one that fired."""
    from django.contrib.admin.utils import quote as part

    from rqcron_events.models import CronEvent

    top = "/admin/rqcron_projections/cronjob/"
    rows = CronEvent.objects.for_cron(BUSY)
    fired = rows.of_type("slot_fired").order_by("-id")[10]
    skipped = rows.of_type("slot_skipped").order_by("id")[1]
    cron = f"{top}cron/{part(BUSY)}/"

    def slot(event: CronEvent) -> str:
        return f"{cron}slot/{quote(event.scheduled_for.strftime('%Y-%m-%dT%H:%M:%SZ'))}/"

    past, to_come = (
        f"{top}load/?hour={at:%Y-%m-%dT%H:00:00Z}"
        for at in (END - timedelta(hours=21), END + timedelta(hours=3))
    )
    return {
        "overview": top,
        "overview, searched": f"{top}?q=cron_04",
        "cron": cron,
        "slot that fired": slot(fired),
        "slot that was skipped": slot(skipped),
        "run": f"{top}run/{fired.run_id}/",
        "log": f"{top}log/",
        "log of a cron": f"{top}log/?cron={BUSY}",
        "report": f"{top}report/",
        "report by day": f"{top}report/?by=day",
        "report of a cron": f"{top}report/?cron={BUSY}",
        "load": f"{top}load/",
        "load of an hour": past,
        "load of an hour to come": to_come,
    }


if __name__ == "__main__":
    main()
