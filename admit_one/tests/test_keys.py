"""A process with the wrong keys is refused at its start; one with the right ones never is."""

from __future__ import annotations

import pytest
from admit_one.messaging import outbox
from admit_one.messaging.inbox import Received
from admit_one.messaging.models import OutboxMessage
from admit_one.messaging.set_aside import keeping
from admit_one.messaging.testing import an_envelope
from admit_one.sealing import canaries
from admit_one.sealing.models import KeyCanary
from django.db import transaction

from tests.contract.events import AccessCodeCreated

pytestmark = pytest.mark.django_db(transaction=True)

OLD, NEW, OTHER = b"1" * 32, b"2" * 32, b"3" * 32


def written():
    return sorted(KeyCanary.objects.values_list("key_id", flat=True))


def publish():
    with transaction.atomic():
        outbox.publish(an_envelope(AccessCodeCreated))


def test_only_the_first_start_writes_canaries(messaging):
    messaging(SEALING_KEYS={"k1": OLD, "k0": OTHER})
    canaries.check()
    first = list(KeyCanary.objects.values())
    canaries.check()

    assert written() == ["k0", "k1"]
    assert list(KeyCanary.objects.values()) == first


def test_a_normal_start_makes_one_query(messaging, django_assert_num_queries):
    canaries.check()

    with django_assert_num_queries(1):
        canaries.check()


def test_another_key_with_the_same_name_is_refused(messaging):
    messaging(SEALING_KEYS={"k1": OLD})
    canaries.check()
    messaging(SEALING_KEYS={"k1": OTHER})

    with pytest.raises(
        canaries.WrongKey, match="expected the key 'k1' that sealed this database's"
    ):
        canaries.check()


def test_a_key_still_in_use_cannot_be_removed(messaging):
    messaging(SEALING_KEYS={"k1": OLD})
    canaries.check()
    messaging(SEALING_KEYS={"k2": NEW})

    with pytest.raises(canaries.WrongKey, match="expected also the key 'k1'"):
        canaries.check()


def test_a_key_leaves_no_canary_before_it_seals(messaging):
    messaging(SEALING_KEYS={"k1": OLD})
    canaries.check()
    messaging(SEALING_KEYS={"k1": OLD, "k2": NEW})
    canaries.check()
    behind = written()
    messaging(SEALING_KEYS={"k2": NEW, "k1": OLD})
    canaries.check()

    assert (behind, written()) == (["k1"], ["k1", "k2"])


def test_an_upgrade_with_a_wrong_key_is_refused(messaging):
    messaging(SEALING_KEYS={"k1": OLD})
    publish()
    messaging(SEALING_KEYS={"k1": OTHER})

    with pytest.raises(
        canaries.WrongKey, match=r"newest row of messaging_outbox\.body cannot be unsealed"
    ):
        canaries.check()

    assert written() == []


def test_one_broken_row_does_not_stop_an_upgrade(messaging):
    publish()
    OutboxMessage.objects.create(event_id="1", type="x", subject="x", body=b"broken")
    canaries.check()

    assert written() == ["k0", "k1"]


def test_third_party_messages_do_not_stop_an_upgrade(messaging):
    """A body that is set aside may be any bytes."""
    keeping.keep(Received.read(b"\xff\0{", queue="q"), ValueError("x"), dead=True)
    canaries.check()

    assert written() == ["k0", "k1"]


def test_two_first_starts_with_different_keys_cannot_both_succeed(messaging, monkeypatch):
    """The other writes its canary after we have looked, and before we write ours."""
    look, looks = canaries._known, list[object]()

    def slow():
        known = look()
        if not looks:
            KeyCanary.objects.create(
                setting="SEALING_KEYS", key_id="k1", value=canaries.canary(NEW)
            )
        looks.append(known)
        return known

    messaging(SEALING_KEYS={"k1": OLD})
    monkeypatch.setattr(canaries, "_known", slow)

    with pytest.raises(canaries.WrongKey):
        canaries.check()


@pytest.mark.parametrize("command", ["consume_events", "relay_outbox"])
def test_a_process_with_a_wrong_key_ends_and_names_the_setting(start, command):
    KeyCanary.objects.create(setting="SEALING_KEYS", key_id="k1", value=canaries.canary(OTHER))
    process = start(command)

    assert process.wait() == 1
    assert process.said("SEALING_KEYS: expected the key 'k1'") == 1
    assert process.said("Traceback") == 0


def test_a_process_that_cannot_compare_its_keys_ends_with_the_reason(start):
    process = start("guarded", TEST_WIRING="tests.broken_keyring")

    assert process.wait() == 1
    assert process.said("the keys could not be checked against the database") == 1
    assert process.said("AttributeError") > 0
