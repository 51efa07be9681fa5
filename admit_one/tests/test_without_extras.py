"""Messaging needs neither Celery nor Django REST framework nor any other optional package."""

from __future__ import annotations

import pytest
from admit_one.messaging import outbox
from admit_one.messaging.models import OutboxMessage
from admit_one.messaging.testing import an_envelope
from django.db import transaction

from tests import rabbit
from tests.contract.events import AccessCodeCreated, UserSubscribed
from tests.models import Effect
from tools.system.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def bare(start):
    """Start processes in which the optional packages cannot be imported."""
    return lambda command: start(command, DJANGO_SETTINGS_MODULE="tests.without_extras")


@pytest.mark.parametrize("package", ["celery", "rest_framework"])
def test_the_processes_cannot_import_an_optional_package(start, package):
    process = start("check", DJANGO_SETTINGS_MODULE="tests.without_extras", TEST_WIRING=package)

    assert process.wait() == 1
    assert process.said(f"No module named '{package}'") > 0


def test_every_module_of_messaging_works_without_optional_packages(bare):
    process = bare("use_everything")

    assert (process.wait(), process.said("published; the message is handled")) == (0, 1)
    assert (OutboxMessage.objects.count(), Effect.objects.count()) == (1, 1)


def test_the_relay_and_the_consumer_run_without_optional_packages(bare, prefix):
    queue = rabbit.bind(prefix, "student_service.events", "access_code_created")
    with transaction.atomic():
        outbox.publish(an_envelope(AccessCodeCreated))
    rabbit.send(prefix, an_envelope(UserSubscribed).to_json())
    relay, consumer = bare("relay_outbox").until_ready(), bare("consume_events").until_ready()

    eventually(lambda: rabbit.depth(queue) == 1 and Effect.objects.count() == 1)
    assert (relay.stop()[0], consumer.stop()[0]) == (0, 0)
