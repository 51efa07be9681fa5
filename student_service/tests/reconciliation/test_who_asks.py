"""Only who has the payment side's wire key gets codes and addresses, and only sealed."""

from __future__ import annotations

from typing import Any

import pytest
from access_codes.models import AccessCode, MailIntent
from admit_one.contract import Event
from admit_one.contract.registry import EVENTS
from admit_one.messaging import conf, inbox, peers
from admit_one.messaging.inbox import Received, Result
from admit_one.messaging.models import OUTBOX_PURPOSE, OutboxMessage
from admit_one.messaging.testing import an_envelope
from admit_one.sealing import cipher
from admit_one.trust.keys import WireKey
from pytest_django import Settings
from shared_contracts.events import UserSubscribed

from tests.reconciliation.steps import issued

PAYMENT, STUDENT = bytes([1]) * 32, bytes([2]) * 32

pytestmark = pytest.mark.django_db

requests = pytest.mark.parametrize(
    "event",
    [event for event in EVENTS.values() if event.signed and event.producer == "payment_service"],
    ids=lambda event: event.type,
)


@pytest.fixture
def keys(settings: Settings) -> None:
    settings.MESSAGING = {
        **settings.MESSAGING,
        "WIRE_KEYS": {"s1": STUDENT},
        "PEER_KEYS": {"payment_service": {"p1": WireKey(PAYMENT).public}},
        "WIRE_KEYS_OPTIONAL": False,
    }


def request(event: type[Event], settings: Settings, **changes: Any) -> tuple[bytes, str]:
    """A request as the payment service writes it: its body and its signature."""
    ours = settings.MESSAGING
    settings.MESSAGING = {
        **ours,
        "SERVICE": "payment_service",
        "WIRE_KEYS": {"p1": PAYMENT},
        "PEER_KEYS": {"student_service": {"s1": WireKey(STUDENT).public}},
    }
    envelope = an_envelope(event, **changes)
    body = envelope.to_json(peers.seal)
    signature = peers.signature_of(envelope, body)
    settings.MESSAGING = ours
    return body, signature


def result_of(body: bytes, signature: str) -> Result:
    message = Received.read(body, queue="test", signature=signature)
    [outcome] = inbox.process([message], conf.handlers())
    return outcome.result


@requests
def test_a_request_that_nobody_has_signed_is_refused(
    keys: None, settings: Settings, event: type[Event]
) -> None:
    issued(1)
    before = OutboxMessage.objects.count()
    body, signature = request(event, settings)

    assert result_of(body, "") is Result.REFUSED
    assert OutboxMessage.objects.count() == before
    assert result_of(body, signature) is not Result.REFUSED


def test_a_code_leaves_sealed_and_an_address_arrives_so(keys: None, settings: Settings) -> None:
    body, signature = request(UserSubscribed, settings, email="ada@example.com")

    assert result_of(body, signature) is Result.HANDLED

    sent, code = OutboxMessage.objects.get(), AccessCode.objects.get().code
    reply = cipher.unseal(sent.body, OUTBOX_PURPOSE, sent.event_id)
    assert (b"ada@example.com" in body, signature) == (False, "")
    assert MailIntent.objects.get().address == "ada@example.com"
    assert (code.encode() in reply, reply.count(b"sealed.v1.s1.p1.")) == (False, 1)
