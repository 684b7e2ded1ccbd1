"""The same project with nothing that follows the log (BENCH_SIGNALS=none), or with alerts and traces."""

from __future__ import annotations

import os

from settings import *  # noqa: F403
from settings import INSTALLED_APPS as ALL_APPS

if os.environ["BENCH_SIGNALS"] == "none":
    INSTALLED_APPS = [app for app in ALL_APPS if app != "rqcron_projections"]
else:
    RQCRON_ALERTS = {
        "receivers": {
            "hook": {
                "kind": "webhook",
                "url": os.environ["BENCH_HOOK"],
                "secret": os.environ["BENCH_SECRET"],
            }
        },
        "rules": {"failing": {"runs": 1}, "missed": {}, "late": {}},
    }
    RQCRON_TRACES = True
