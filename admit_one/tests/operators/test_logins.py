"""Guessing passwords ends, whether on one name or on many; and logins are on record."""

from __future__ import annotations

import pytest
from admit_one.operators.logins import LIMITS
from axes.models import AccessLog
from django.contrib.auth.models import User

pytestmark = pytest.mark.django_db

LOGIN = "/login/?next=/"
PASSWORD = "correct horse battery"
LOCKED = 429


@pytest.fixture
def ada():
    return User.objects.create_user("ada", password=PASSWORD, is_staff=True)


def log_in(client, name: str, password: str, address: str = "192.0.2.1") -> int:
    form = {"username": name, "password": password}
    return int(client.post(LOGIN, form, REMOTE_ADDR=address).status_code)


def test_five_failures_lock_a_name_for_their_address_only(client, ada):
    for _ in range(5):
        log_in(client, "ada", "wrong")

    assert log_in(client, "ada", PASSWORD) == LOCKED
    assert log_in(client, "ada", PASSWORD, address="192.0.2.2") == 302


def test_one_password_on_many_names_locks_the_address(client, ada):
    for number in range(LIMITS["address"]):
        log_in(client, f"user{number}", "Spring2026!")

    assert log_in(client, "ada", PASSWORD) == LOCKED
    assert log_in(client, "ada", PASSWORD, address="192.0.2.2") == 302


def test_many_addresses_on_one_name_lock_the_name(client, ada):
    for number in range(LIMITS["name"]):
        log_in(client, "ada", "wrong", address=f"192.0.2.{number + 10}")

    assert log_in(client, "ada", PASSWORD) == LOCKED


def test_a_login_is_on_record(client, ada, caplog):
    log_in(client, "ada", PASSWORD)

    [record] = [each for each in caplog.records if hasattr(each, "event")]
    assert (record.event, record.fields) == (
        "operator_logged_in",
        {"name": "ada", "address": "192.0.2.1"},
    )
    assert AccessLog.objects.get().username == "ada"


def test_what_was_typed_instead_of_a_name_is_not_logged(client, ada, caplog):
    log_in(client, PASSWORD, "ada")
    log_in(client, "ada", "wrong")

    failed = [each for each in caplog.records if hasattr(each, "event")]
    assert [each.fields["name"] for each in failed] == ["an unknown name", "ada"]
    assert PASSWORD not in caplog.text
