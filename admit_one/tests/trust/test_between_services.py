"""Signed and sealed events, from the outbox of one service to the handlers of another."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from admit_one.contract import Envelope
from admit_one.contract.errors import Unauthenticated, Undeliverable, UnknownKey
from admit_one.messaging import conf, inbox, outbox, peers
from admit_one.messaging.inbox import Received, Result
from admit_one.messaging.models import OUTBOX_PURPOSE, OutboxMessage, SetAside
from admit_one.messaging.set_aside import keeping, retrying
from admit_one.messaging.set_aside.replay import replay
from admit_one.messaging.set_aside.replay_results import ReplayOrder, ReplayVerdict
from admit_one.messaging.testing import an_envelope
from admit_one.sealing import cipher
from admit_one.trust.keys import WireKey
from django.core.management import call_command
from django.db import transaction

from tests.contract.events import AccessCodeAssigned
from tests.models import Effect

PAYMENT, STUDENT, OTHER = (bytes([n]) * 32 for n in (1, 2, 3))
CODE = "7K3M-Q9TX-2WBD-H5RN"

pytestmark = pytest.mark.django_db(transaction=True)


Public = dict[str, dict[str, bytes]]


def keys_of(service: str, **secrets: bytes) -> Public:
    return {service: {kid: WireKey(secret).public for kid, secret in secrets.items()}}


@pytest.fixture
def as_payment(messaging):
    """Be the other service from now on, with these keys."""

    def be(*, own: dict[str, bytes] | None = None, peers: Public | None = None, **more) -> None:
        messaging(
            SERVICE="payment_service",
            WIRE_KEYS={"p1": PAYMENT} if own is None else own,
            PEER_KEYS=keys_of("student_service", s1=STUDENT) if peers is None else peers,
            **more,
        )

    return be


@pytest.fixture
def as_student(messaging):
    """Be the service under test from now on, with these keys."""

    def be(*, own: dict[str, bytes] | None = None, peers: Public | None = None, **more) -> None:
        messaging(
            SERVICE="student_service",
            WIRE_KEYS={"s1": STUDENT} if own is None else own,
            PEER_KEYS=keys_of("payment_service", p1=PAYMENT) if peers is None else peers,
            **more,
        )

    return be


def sent(envelope: Envelope[AccessCodeAssigned] | None = None) -> tuple[bytes, str]:
    """What the outbox holds after this is published: body and signature."""
    with transaction.atomic():
        outbox.publish(envelope or an_envelope(AccessCodeAssigned, access_code=CODE))
    row = OutboxMessage.objects.latest("id")
    return cipher.unseal(row.body, OUTBOX_PURPOSE, row.event_id), row.signature


def arrive(body: bytes, signature: str = "") -> Received:
    return Received.read(body, queue="test", signature=signature)


def outcome_of(message: Received) -> tuple[Result, str]:
    [outcome] = inbox.process([message], conf.handlers())
    return outcome.result, str(outcome.error or "")


def test_a_signed_and_sealed_event_is_handled_with_its_value(as_payment, as_student, handle):
    seen: list[str] = []
    handle(lambda messages: seen.extend(message.data.access_code for message in messages))
    as_payment()
    body, signature = sent()
    as_student()

    assert outcome_of(arrive(body, signature)) == (Result.HANDLED, "")
    assert seen == [CODE]
    assert CODE.encode() not in body


def test_an_event_published_again_has_the_same_bytes(as_payment):
    as_payment()
    sent()
    row = OutboxMessage.objects.get()

    assert OutboxMessage.objects.get(id=row.id).body == row.body
    assert OutboxMessage.objects.get(id=row.id).signature == row.signature


@pytest.mark.parametrize("signature", ["", "v1.p1." + "A" * 86])
def test_what_its_sender_has_not_signed_is_refused_and_dead(as_payment, as_student, signature):
    as_payment()
    body, _ = sent()
    as_student()

    result, _ = outcome_of(arrive(body, signature))

    assert result is Result.REFUSED
    assert not Effect.objects.exists()


def test_a_refused_message_is_not_remembered(as_payment, as_student):
    """Else a forgery that comes first would make the true event a contradiction."""
    as_payment()
    body, signature = sent()
    as_student()

    results = [outcome_of(arrive(body, given))[0] for given in ("", signature, signature, "")]

    assert results == [Result.REFUSED, Result.HANDLED, Result.DUPLICATE, Result.REFUSED]


def test_another_of_the_senders_values_cannot_be_put_in(as_payment, as_student):
    as_payment()
    (body, signature), (other, _) = sent(), sent()
    as_student()
    forged = body.replace(sealed_text(body), sealed_text(other))

    result, _ = outcome_of(arrive(forged, signature))

    assert result is Result.MALFORMED


def sealed_text(body: bytes) -> bytes:
    start = body.index(b"sealed.v1.")
    return body[start : body.index(b'"', start)]


@pytest.mark.parametrize(
    ("off", "why"), [(-1, "more than 7 days before it came"), (1, "more than 7 days ahead")]
)
def test_what_was_signed_at_quite_another_time_is_refused(as_payment, as_student, off, why):
    as_payment()
    fresh = an_envelope(AccessCodeAssigned)
    another_time = Envelope(
        **{
            name: getattr(fresh, name)
            for name in ("id", "source", "type", "subject", "correlationid", "data")
        },
        time=datetime.now(UTC) + off * timedelta(days=7, minutes=1),
    )
    body, signature = sent(another_time)
    as_student()

    result, reason = outcome_of(arrive(body, signature))

    assert result is Result.REFUSED
    assert why in reason


def test_how_old_it_is_counts_from_when_it_came_not_from_its_replay(as_payment, as_student):
    as_payment()
    body, signature = sent()
    as_student(own={"s2": OTHER})
    message = arrive(body, signature)
    keeping.keep(message, UnknownKey(), dead=True)
    SetAside.objects.update(created_at=datetime.now(UTC))
    as_student(SIGNED_DAYS=1)
    later = keeping.read(SetAside.objects.get())

    assert later.received_at == SetAside.objects.get().created_at
    assert outcome_of(later) == (Result.HANDLED, "")


def test_a_message_for_a_key_to_come_is_retried_until_the_key_is_listed(as_payment, as_student):
    as_payment()
    body, signature = sent()
    as_student(own={"s2": OTHER})
    message = arrive(body, signature)
    [outcome] = inbox.process([message], conf.handlers())
    assert isinstance(outcome.error, UnknownKey)
    keeping.keep(message, outcome.error, dead=False)
    assert peers_needed("s1") == 1
    SetAside.objects.update(next_attempt_at=datetime.now(UTC) - timedelta(minutes=1))

    as_student()
    retrying.retry_one(conf.handlers(), lambda step: step())

    assert SetAside.objects.get().state == SetAside.State.REPLAYED
    assert Effect.objects.count() == 1
    assert peers_needed("s1") == 0


def peers_needed(kid: str) -> int:
    return SetAside.objects.open().filter(wire_key=kid).count()


def test_a_signature_of_a_key_to_come_is_retried(as_payment, as_student):
    as_payment()
    body, signature = sent()
    as_student(peers=keys_of("payment_service", p2=OTHER))

    result, why = outcome_of(arrive(body, signature))

    assert result is Result.UNKNOWN
    assert "'p1' of payment_service, unknown here" in why


def test_a_dead_letter_is_replayed_after_its_wire_keys_are_gone(as_payment, as_student, handle):
    as_payment()
    body, signature = sent()
    as_student()
    message = arrive(body, signature)
    keeping.keep(message, ValueError("asked to fail"), dead=True)
    seen: list[str] = []
    handle(lambda messages: seen.extend(message.data.access_code for message in messages))

    as_student(own={"s2": OTHER})
    done = replay(SetAside.objects.get().id, ReplayOrder(by="ada"))

    assert done.verdict is ReplayVerdict.APPLIED
    assert seen == [CODE]


def test_an_operator_cannot_replay_what_nobody_has_signed(as_payment, as_student):
    as_payment()
    body, _ = sent()
    as_student()
    message = arrive(body)
    keeping.keep(message, Unauthenticated(), dead=True)

    done = replay(SetAside.objects.get().id, ReplayOrder(by="ada", reason="please", again=True))

    assert done.verdict is ReplayVerdict.REFUSED
    assert not Effect.objects.exists()


def test_no_value_of_a_set_aside_message_is_in_the_database_in_clear(as_payment, as_student):
    as_payment()
    body, signature = sent()
    as_student()
    keeping.keep(arrive(body, signature), ValueError(f"about {CODE}"), dead=True)
    row = SetAside.objects.get()

    assert CODE not in "".join(map(str, vars(row).values()))
    assert CODE.encode() not in bytes(row.sealed_values or b"") + bytes(row.body)


def test_rotate_keys_counts_what_only_an_old_wire_key_reads(as_payment, as_student):
    as_payment()
    body, signature = sent()
    as_student(own={"s2": OTHER})
    message = arrive(body, signature)
    keeping.keep(message, UnknownKey(), dead=True)
    as_student(own={"s2": OTHER, "s1": STUDENT})
    out = StringIO()

    call_command("rotate_keys", "--dry-run", stdout=out)
    assert "s1 is needed in WIRE_KEYS: 1 set-aside messages" in out.getvalue()

    SetAside.objects.update(state=SetAside.State.DISCARDED)
    call_command("rotate_keys", stdout=out)
    assert "s1 may be removed from WIRE_KEYS" in out.getvalue()


def test_a_service_that_is_not_the_reader_sees_the_sealed_text(as_payment):
    as_payment()
    body, _ = sent()

    message = arrive(body)

    assert message.envelope is not None
    assert message.envelope.data.access_code.encode() == sealed_text(body)


def test_without_keys_nothing_leaves_that_needs_them(as_payment):
    as_payment(own={}, WIRE_KEYS_OPTIONAL=False)
    with pytest.raises(Undeliverable, match=r"access_code_assigned needs a key.*WIRE_KEYS"):
        sent()
    as_payment(peers={}, WIRE_KEYS_OPTIONAL=False)
    with pytest.raises(Undeliverable, match="PEER_KEYS of student_service"):
        sent()


def test_where_keys_are_optional_events_travel_in_clear(as_payment, as_student):
    as_payment(own={}, peers={}, WIRE_KEYS_OPTIONAL=True)
    body, signature = sent()
    as_student(own={}, peers={}, WIRE_KEYS_OPTIONAL=True)

    assert outcome_of(arrive(body, signature)) == (Result.HANDLED, "")
    assert (CODE.encode() in body, signature) == (True, "")


def test_where_keys_are_optional_a_known_sender_still_has_to_sign(as_payment, as_student):
    as_payment(own={}, peers={}, WIRE_KEYS_OPTIONAL=True)
    body, signature = sent()
    as_student(WIRE_KEYS_OPTIONAL=True)

    assert outcome_of(arrive(body, signature))[0] is Result.REFUSED


@pytest.mark.parametrize("optional", [True, False])
def test_a_value_in_clear_is_refused_where_sealing_shows_who_sent_it(
    as_student, monkeypatch, optional
):
    monkeypatch.setattr(AccessCodeAssigned, "signed", False)
    monkeypatch.setattr(AccessCodeAssigned, "sealed_only", True)
    as_student(WIRE_KEYS_OPTIONAL=optional)
    forged = an_envelope(AccessCodeAssigned, access_code=CODE).to_json()

    result, why = outcome_of(arrive(forged))

    assert (result, "data.access_code: expected it sealed" in why) == (Result.MALFORMED, True)
    assert CODE not in why


def test_a_value_in_clear_is_read_too(as_payment, as_student):
    """A message that was on its way when sealing began, or one of a third party."""
    as_payment()
    envelope = an_envelope(AccessCodeAssigned, access_code=CODE)
    body = envelope.to_json()
    signature = peers.signature_of(envelope, body)
    as_student()

    assert outcome_of(arrive(body, signature)) == (Result.HANDLED, "")
