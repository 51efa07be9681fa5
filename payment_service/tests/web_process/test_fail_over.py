"""A primary that only reads for a while, as in a fail-over: new sessions can write afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection

from tests.web_process.steps import GOOD, post
from tools.system.eventually import eventually
from tools.system.web_process import WebProcess

pytestmark = pytest.mark.django_db(transaction=True)

SOON = 10.0
"""Seconds; a connection would otherwise be kept for 60."""

SAID = ("request_without_database", "requests_answered")
"""Once each, however many requests fail."""


def read_only(value: str) -> None:
    """Whether new sessions can only read."""
    with connection.cursor() as cursor:
        name = connection.ops.quote_name(connection.settings_dict["NAME"])
        cursor.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {value}")


@pytest.fixture
def stand_by() -> Iterator[None]:
    read_only("on")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    yield
    read_only("off")


def posted(web: WebProcess, key: str) -> int:
    client = web.client().send(post(key), GOOD)
    status = client.answer().status
    client.close()
    return status


@pytest.mark.usefixtures("stand_by")
def test_requests_are_accepted_seconds_after_a_fail_over(web: WebProcess, key: str) -> None:
    eventually(lambda: posted(web, key) == 503)
    readiness = web.get("/health/ready").status
    read_only("off")
    eventually(lambda: {posted(web, key) for _ in range(8)} == {202}, within=SOON)

    said = [web.process.said(f"event={event}") for event in SAID]
    assert (readiness, said) == (503, [1, 1])
    assert web.get("/health/ready").status == 200
