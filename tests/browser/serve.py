"""The site that the browser looks at: the demo's project with its past, and nobody at work.

``python -m tests.browser.serve DIRECTORY`` writes ``site.json`` there when it serves.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tests.processes import ROOT

PASSWORD = "only for the tests"
FOLLOW_SECONDS = 0.2
VIEWER_MAY = ("view_cronjob", "view_cronrun", "view_cronevent")


def main() -> None:
    directory = Path(sys.argv[1])
    port = int(os.environ["REDIS_URL"].rpartition(":")[2].partition("/")[0])
    (directory / "ports.json").write_text(json.dumps({"redis": port, "web": 1}))
    os.environ["DEMO_VAR"] = str(directory)
    os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
    sys.path.insert(0, str(ROOT / "example"))
    import django

    django.setup()
    make_site()
    serve(directory)


def make_site() -> None:
    from django.contrib.auth.models import Permission, User
    from django.core.management import call_command
    from past import Past
    from rqcron_projections.projector import catch_up

    from rqcron_events import clock

    call_command("migrate", verbosity=0)
    Past(clock.now()).write()
    catch_up()
    User.objects.create_superuser("demo", password=PASSWORD)
    viewer = User.objects.create_user("viewer", password=PASSWORD, is_staff=True)
    viewer.user_permissions.set(Permission.objects.filter(codename__in=VIEWER_MAY))


def facts() -> dict[str, Any]:
    """What the tests ask about: what happened when."""
    from rqcron_events.models import CronEvent

    def newest(cron: str, kind: str, **also: Any) -> CronEvent:
        return CronEvent.objects.for_cron(cron).of_type(kind).filter(**also).order_by("-id")[0]

    def slot(event: CronEvent) -> str:
        assert event.scheduled_for is not None
        return event.scheduled_for.isoformat().replace("+00:00", "Z")

    failed = newest("rank_sites", "run_failed")
    return {
        "skipped": slot(newest("archive_checks", "slot_skipped")),
        "paused": slot(newest("sync_contacts", "slot_skipped")),
        "missed": slot(newest("sync_contacts", "slot_missed")),
        "failed": slot(failed),
        "failed_run": str(failed.run_id),
    }


def follow() -> None:
    """Keep the projections current, as a runner does; the site has none."""
    from rqcron_projections.projector import catch_up

    while True:
        catch_up()
        time.sleep(FOLLOW_SECONDS)


def serve(directory: Path) -> None:
    from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
    from django.core.wsgi import get_wsgi_application

    server = ThreadedWSGIServer(("127.0.0.1", 0), WSGIRequestHandler)
    server.set_app(get_wsgi_application())
    url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=follow, daemon=True).start()
    ready = directory / "site.tmp"
    ready.write_text(json.dumps({"url": url, **facts()}))
    ready.rename(directory / "site.json")
    server.serve_forever()


if __name__ == "__main__":
    main()
