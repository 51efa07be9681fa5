"""What is set aside about an erased subject goes as soon as it can be read."""

from __future__ import annotations

from uuid import uuid4

import pytest
from admit_one.acts.models import Act
from admit_one.contract.errors import Transient
from admit_one.erasure import erasing, library, requests
from admit_one.erasure.testing import found
from admit_one.messaging.inbox import Received
from admit_one.messaging.models import SetAside
from admit_one.messaging.set_aside import acts, keeping, replay
from admit_one.messaging.set_aside.replay_results import ReplayOrder
from admit_one.messaging.testing import an_envelope
from admit_one.sealing import cipher
from django.db import transaction

from tests.contract.events import UserSubscribed
from tests.set_aside.steps import retry

pytestmark = pytest.mark.django_db(transaction=True)

EMAIL, NAME = "ada@example.com", "lovelace"


def unreadable(subject: str) -> SetAside:
    keeping.keep(
        Received.read(f'{{"{subject} {EMAIL}'.encode(), queue="q"), ValueError("x"), dead=True
    )
    return SetAside.objects.latest("id")


def erase(subject: str) -> None:
    requests.put([subject], uuid4())
    searched = library.search([subject])
    with transaction.atomic():
        erasing._erase([subject], searched)


def test_what_an_operator_wrote_of_an_unreadable_message_goes():
    subject = str(uuid4())
    row = unreadable(subject)
    list(acts.discard([row.id], by="grace", reason=f"{NAME} called"))

    erase(subject)

    assert found(EMAIL, NAME) == set()
    act = Act.objects.get()
    assert (act.by, act.action, act.target) == ("grace", "discard", str(row.id))


def test_an_export_has_what_an_operator_wrote_of_an_unreadable_message():
    subject = str(uuid4())
    list(acts.discard([unreadable(subject).id], by="grace", reason=f"{NAME} called"))

    [written] = library.acts([subject])

    assert [act.reason for act in written] == [f"{NAME} called"]


def test_unreadable_messages_are_opened_before_others_have_to_wait(monkeypatch):
    subject, others = str(uuid4()), [str(uuid4()) for _ in range(3)]
    for each in (subject, *others):
        unreadable(each)
    SetAside.objects.update(created_at="2026-01-01T00:00Z")
    searched = library.search([subject])
    late = unreadable(subject.upper())
    requests.put([subject], uuid4())
    opened = []
    unseal = cipher.unseal

    def noted(*args):
        opened.append(args)
        return unseal(*args)

    monkeypatch.setattr(cipher, "unseal", noted)

    with transaction.atomic():
        erasing._erase([subject], searched)

    assert [delivery for *_, delivery in opened] == [late.delivery]
    assert SetAside.objects.exclude(state=SetAside.State.ERASED).count() == len(others)


@pytest.fixture
def row_whose_key_is_back(messaging):
    """A message that no key opened when its subject was erased."""
    message = an_envelope(UserSubscribed, email=EMAIL)
    keeping.keep(Received.read(message.to_json(), queue="q"), Transient("later"), dead=False)
    SetAside.objects.update(subject="", event_id="", type="", next_attempt_at="2026-01-01T00:00Z")
    messaging(SEALING_KEYS={"k0": b"0" * 32})
    erase(message.subject)
    assert SetAside.objects.get().state == SetAside.State.RETRYING
    messaging(SEALING_KEYS={"k1": b"1" * 32, "k0": b"0" * 32})
    return SetAside.objects.get()


def test_a_message_that_a_retry_passes_by_is_blank_afterwards(row_whose_key_is_back):
    assert retry() == 1

    assert (SetAside.objects.get().state, found(EMAIL, NAME)) == ("erased", set())


def test_a_message_that_a_replay_passes_by_is_blank_afterwards(row_whose_key_is_back):
    replay.replay(row_whose_key_is_back.id, ReplayOrder(by="grace", reason=f"{NAME} called"))

    assert (SetAside.objects.get().state, found(EMAIL, NAME)) == ("erased", set())


def test_what_no_key_opened_goes_when_it_is_erased_again(row_whose_key_is_back):
    assert found(EMAIL) == {"messaging_set_aside.body"}

    message = keeping.read(row_whose_key_is_back).envelope
    assert message is not None
    erase(message.subject)

    assert found(EMAIL) == set()


def test_an_event_about_an_erasure_is_kept_when_it_fails(monkeypatch):
    monkeypatch.setattr(UserSubscribed, "about_erasure", True)
    message = an_envelope(UserSubscribed)
    requests.put([message.subject], uuid4())
    keeping.keep(Received.read(message.to_json(), queue="q"), Transient("later"), dead=False)

    erase(message.subject)

    assert SetAside.objects.get().state == SetAside.State.RETRYING
