from __future__ import annotations

import pytest
from django.conf import settings
from django.test import Client


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_it_reports_that_it_is_alive_and_ready(client: Client, path: str) -> None:
    answer = client.get(path)

    assert answer.status_code == 200
    assert answer.json() == {"status": "ok"}


def test_it_answers_nothing_else(client: Client) -> None:
    assert client.get("/").status_code == 404


def test_on_a_developers_machine_it_answers_to_the_machines_own_names() -> None:
    assert {"localhost", "127.0.0.1"} <= set(settings.ALLOWED_HOSTS)
