"""A publisher on the test broker, and a queue of a third party behind it."""

from __future__ import annotations

import pytest
from admit_one.messaging.broker import connection as broker
from admit_one.messaging.outgoing.publisher import Publisher

from tests import rabbit
from tests.relay.steps import KEY


@pytest.fixture
def connection(prefix):
    connection = broker.connect("test relay")
    yield connection
    broker.close(connection)


@pytest.fixture
def publisher(connection, prefix):
    return Publisher(connection, f"{prefix}student_service.events", "student_service")


@pytest.fixture
def queue(prefix):
    return rabbit.bind(prefix, "student_service.events", KEY)
