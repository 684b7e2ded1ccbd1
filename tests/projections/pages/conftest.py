"""A browser without a screen: Django's test client, logged in."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client

from rqcron_events.ledger.backend import backend_of
from tests.projections.pages.past import Past

VIEW = "rqcron_projections.view_cronjob"

Login = Callable[..., Client]


@pytest.fixture
def past(db: None) -> Past:
    return Past()


@pytest.fixture
def login(db: None) -> Login:
    """``login("rqcron_projections.view_cronjob")``: a client of ada, of the staff, who may do this
    only; without a permission, what a superuser sees."""

    def log_in(*permissions: str, username: str = "ada") -> Client:
        user = User.objects.create_user(
            username, password="x", is_staff=True, is_superuser=not permissions
        )
        for permission in permissions:
            app, codename = permission.split(".")
            user.user_permissions.add(
                Permission.objects.get(content_type__app_label=app, codename=codename)
            )
        client = Client(raise_request_exception=True)
        client.force_login(user)
        return client

    return log_in


@pytest.fixture
def rows_of_before(db: None) -> None:
    """The table takes any row, as before the CHECKs: what was let in then is still there."""
    backend_of(connection).remove_checks(connection)
