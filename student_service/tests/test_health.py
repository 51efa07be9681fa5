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


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_any_host_may_check_the_health(client: Client, path: str, method: str) -> None:
    answer = client.generic(method, path, headers={"Host": "10.42.8.201:8000"})

    assert answer.status_code == 200


def test_other_paths_are_not_found(client: Client) -> None:
    assert client.get("/").status_code == 404


def test_in_development_it_accepts_requests_for_the_local_host() -> None:
    assert {"localhost", "127.0.0.1"} <= set(settings.ALLOWED_HOSTS)
