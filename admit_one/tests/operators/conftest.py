"""Somebody who is logged in to the pages for operators."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User


@pytest.fixture
def log_in(client):
    """Log somebody in who has these permissions; an operator has both."""

    def run(*permissions: str):
        user = User.objects.create_user("ada", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client.force_login(user, "django.contrib.auth.backends.ModelBackend")

    return run


@pytest.fixture
def operator(log_in, client):
    log_in("view_setaside", "work_on_setaside", "view_act")
    return client
