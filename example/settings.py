"""Settings of the demo. Its files and ports are in one directory, DEMO_VAR."""

from __future__ import annotations

import json
import os
from pathlib import Path

VAR = Path(os.environ.get("DEMO_VAR") or Path(__file__).parent / "var" / "demo-1")
PORTS_FILE = VAR / "ports.json"
"""Written by demo.py, so that manage.py in another terminal finds the demo that runs."""
PORTS = json.loads(PORTS_FILE.read_text()) if PORTS_FILE.exists() else {"redis": 6399, "web": 8321}

SECRET_KEY = "only for the demo"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
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
    "sites",
]
ROOT_URLCONF = "urls"
MIDDLEWARE = [
    "sites.csp.strict",
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
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

VAR.mkdir(parents=True, exist_ok=True)
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": VAR / "demo.sqlite3",
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",  # wait for the lock instead of failing half-way
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }
}
RQ_QUEUES = {
    name: {"URL": f"redis://127.0.0.1:{PORTS['redis']}/0", "DEFAULT_TIMEOUT": 60}
    for name in ("default", "slow")
}
RQCRON_TICK_SECONDS = 0.2

SITE_URL = f"http://127.0.0.1:{PORTS['web']}"
"""Where the demo's own pages are; Django's runserver serves them."""
EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
EMAIL_FILE_PATH = VAR / "mail"
DEFAULT_FROM_EMAIL = "checker@demo.invalid"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {name} {levelname} {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
}
