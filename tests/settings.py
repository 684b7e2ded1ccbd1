"""Settings of the tests: DATABASE_URL and REDIS_URL choose the servers, SQLite is the default."""

from __future__ import annotations

import json
import os
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

BASE_DIR = Path(__file__).parent
SECRET_KEY = "only for the tests"
USE_TZ = True
TIME_ZONE = "UTC"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_rq",
    "rqcron_events",
    "rqcron_projections",
    *os.environ.get("TEST_APPS", "tests.crons_app").split(","),
]
ROOT_URLCONF = "tests.urls"
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
STATIC_URL = "static/"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"


def database(url: str) -> dict[str, object]:
    """A Django database from postgresql://user:password@host:port/name or sqlite:///path."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": parts.path,
            "OPTIONS": {"timeout": 20, "init_command": "PRAGMA journal_mode=WAL;"},
            "TEST": {"NAME": parts.path},
        }
    query = parse_qs(parts.query)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.lstrip("/") or "postgres",
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": query.get("host", [parts.hostname or ""])[0],
        "PORT": str(parts.port or ""),
        **behind(query),
    }


def behind(query: dict[str, list[str]]) -> dict[str, object]:
    """``?pool=1`` is Django's pool of that size, ``?pooler=1`` a PgBouncer that pools transactions."""
    found: dict[str, object] = {}
    if "pool" in query:
        size = int(query["pool"][0])
        found["OPTIONS"] = {"pool": {"min_size": size, "max_size": size, "timeout": 3}}
    if "pooler" in query:
        found["DISABLE_SERVER_SIDE_CURSORS"] = True
    return found


DATABASES = {"default": database(os.environ.get("DATABASE_URL", "sqlite:////tmp/rqcron-tests.db"))}
REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
RQ_QUEUES = {
    name: {"URL": os.environ.get(f"REDIS_URL_{name.upper()}", REDIS_URL), "DEFAULT_TIMEOUT": 60}
    for name in os.environ.get("TEST_QUEUES", "default,high,low").split(",")
}
if cache := os.environ.get("TEST_USE_REDIS_CACHE"):
    RQ_QUEUES["cached"] = {"USE_REDIS_CACHE": cache}
if serializer := os.environ.get("TEST_SERIALIZER"):
    for queue in RQ_QUEUES.values():
        queue["SERIALIZER"] = serializer
RQCRON_TICK_SECONDS = 0.2
RQCRON_LEASE_SECONDS = float(os.environ.get("RQCRON_TEST_LEASE_SECONDS", "6"))
LOGGING = {"version": 1, "disable_existing_loggers": False}
RQCRON_GIVE_BACK_SECONDS = int(os.environ.get("RQCRON_TEST_GIVE_BACK_SECONDS", "2"))
if alerts := os.environ.get("TEST_ALERTS"):
    RQCRON_ALERTS = json.loads(alerts)
if checkins := os.environ.get("TEST_CHECKINS"):
    RQCRON_CHECKINS = json.loads(checkins)
RQCRON_SEAL_KEY = os.environ.get("TEST_SEAL_KEY", "")
RQCRON_SEAL_SECONDS = float(os.environ.get("TEST_SEAL_SECONDS", "60"))
RQCRON_SEAL_RECEIVERS = json.loads(os.environ.get("TEST_SEAL_RECEIVERS", "{}"))
if directory := os.environ.get("TEST_ARCHIVE"):
    BACKEND = "django.core.files.storage.FileSystemStorage"
    STORAGES = {
        "default": {"BACKEND": BACKEND},
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
        "segments": {"BACKEND": BACKEND, "OPTIONS": {"location": directory}},
    }
    RQCRON_ARCHIVE = {"storage": "segments"}
if days := os.environ.get("TEST_KEEP_DAYS"):
    RQCRON_KEEP_DAYS = float(days)
if traces := os.environ.get("TEST_TRACES"):
    RQCRON_TRACES = json.loads(traces)
