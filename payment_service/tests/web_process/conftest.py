"""One web process for all these tests, and an API key."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from admit_one.web.models import ApiKey

from tests.conftest import ALL_SCOPES
from tools.system.web_process import WebProcess, running

# An SQLite database has no stand-by.
on_postgresql = os.environ.get("DATABASE_URL", "").startswith("postgres")
collect_ignore = [] if on_postgresql else ["test_fail_over.py"]


@pytest.fixture
def key() -> str:
    return ApiKey.objects.issue("shop", scopes=ALL_SCOPES)


@pytest.fixture(scope="package")
def process(django_db_setup: None) -> Iterator[WebProcess]:
    with running() as web:
        yield web


@pytest.fixture
def web(process: WebProcess) -> Iterator[WebProcess]:
    yield process
    process.close_all()
