"""What the tests of the relay do again and again."""

from __future__ import annotations

from typing import Any

from admit_one.contract.envelope import Envelope
from admit_one.messaging import outbox
from admit_one.messaging.models import OutboxMessage
from admit_one.messaging.testing import an_envelope
from django.db import transaction

from tests.contract.events import AccessCodeCreated

KEY = "access_code_created"


def publish(number=1) -> list[Envelope[Any]]:
    envelopes = [an_envelope(AccessCodeCreated) for _ in range(number)]
    with transaction.atomic():
        outbox.publish(*envelopes)
    return envelopes


def unsent():
    return OutboxMessage.objects.unsent()
