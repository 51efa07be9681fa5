"""Tests that need a RabbitMQ are left out where `make test` can get none, never by themselves."""

from __future__ import annotations

import os

import pytest

VARIABLE = "TEST_WITHOUT_RABBITMQ"
REASON = "needs a RabbitMQ, and none can be had here"


def skip_without_rabbitmq() -> None:
    """For fixtures that lead to a RabbitMQ."""
    if os.environ.get(VARIABLE):
        pytest.skip(REASON)
