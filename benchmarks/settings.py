"""A Django project with nothing in it but the ledger and the crons of the benchmark."""

from __future__ import annotations

import os
from urllib.parse import parse_qs, unquote, urlsplit

_database = urlsplit(os.environ["DATABASE_URL"])

SECRET_KEY = "only for the benchmark"
USE_TZ = True
TIME_ZONE = "UTC"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django_rq",
    "rqcron_events",
    "rqcron_projections",
    "bench_crons",
]
DATABASES: dict[str, dict[str, object]] = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _database.path.lstrip("/") or "postgres",
        "USER": unquote(_database.username or ""),
        "PASSWORD": unquote(_database.password or ""),
        "HOST": parse_qs(_database.query).get("host", [_database.hostname or ""])[0],
        "PORT": str(_database.port or ""),
    }
}
if _database.scheme == "sqlite":
    DATABASES["default"] = {"ENGINE": "django.db.backends.sqlite3", "NAME": _database.path}
RQ_QUEUES = {"default": {"URL": os.environ["REDIS_URL"], "DEFAULT_TIMEOUT": 60}}
