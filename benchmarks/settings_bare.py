"""The same without projections, so that nothing follows the log."""

from __future__ import annotations

from settings import *  # noqa: F403
from settings import INSTALLED_APPS

INSTALLED_APPS = [app for app in INSTALLED_APPS if app != "rqcron_projections"]
