"""What was sealed before values were bound to rows stays readable, until a rotation renews it.

The bytes are literal: they were made by the release before, with the nonce 0, 1, 2, …, 11.
"""

from __future__ import annotations

import io

import pytest
from admit_one.messaging import inbox
from admit_one.messaging.inbox import Received
from admit_one.messaging.models import InboxMessage, OutboxMessage, SetAside
from admit_one.messaging.retention import inbox_needs
from admit_one.messaging.set_aside import keeping
from admit_one.messaging.testing import golden, published
from admit_one.sealing import canaries, cipher
from admit_one.sealing.models import KeyCanary
from django.core.management import call_command

from tests.contract.events import AccessCodeCreated, UserSubscribed
from tests.handlers import HANDLERS

pytestmark = pytest.mark.django_db(transaction=True)

KEY, NEW = b"1" * 32, b"2" * 32

A_CODE = bytes.fromhex(
    "026b31000102030405060708090a0b4abe336ac1bb9383f44f510c8514cb7d594818b48d34b5c19ef156ec2d4ffb"
    "6f9cb016"
)
"""7K3M-Q9TX-2WBD-H5RN, for the purpose "outbox"."""

AN_EVENT = bytes.fromhex(
    "026b31000102030405060708090a0b06d773578989dcb2de110a34a972dc175d3466155a71a2d601012fe61dc15cd9"
    "59f60995abdef79efb4def21bbf0b753e6ea7f32a524a17a102b7d69409712b453df42e5726fbb285654a56ee7605c"
    "152654b1e90f03fe7df3b5543e6848fc964b2f92bfc49970bc6dfe405fe5de73f9dadb7add0f671d95a6f3fe540fa4"
    "6baba3134177073e3d403d8dd10697fec646f567e2f98a7d1865757b7b4bc5b01d86327058b7acf5f4c500dafd6010"
    "612b7b9d4573022f8df307319375d72c83f13218358d2f291f1d4f69c5aac4fa0147944409f1dc847447cb09f92a04"
    "b45cd18869f4153e88b03923de1282ea7c640b03c9dc1b10a08d4de51249ec97129d5c6bed22cfb12abba74e0b5686"
    "b99f7cba6bfa55d0aecc1d886888b621bd723524f78b1b2682f512ebbd64e78bfb60b7b03cf02db04e1f5919daa052"
    "b6e7975d1cdbcc654ba7d383a01dc8151c76f1723e7bc2979b05131f687538aeaca318d06d33425b1f74e16e285dda"
    "fea7135f767e37154da96a72a38c11edfdb5018b86e9da7f712152a94eb3f122f613562d8e71940e30e850d9489c28"
    "b4fc149f25bd1260781aaad62dad52cdb94c5884b46593cc3eef7a6f6819d97b739e5f8d8babc4d835e91520e91676"
    "8efc15ff065d274ce557ace40e29cb1c26027b8cd1520269546f55d1c8360585f1911be5b348c9df00ecdfa94ea33a"
    "84f638b8cdbc45aca80bf0093707d99ac8356957e0340aed1c5db849ca5ade"
)
"""The golden `access_code_created`, in the outbox."""

UNREADABLE = bytes.fromhex(
    "026b31000102030405060708090a0b089b72428d8ecbb5c007027697301d84fde181f42baf15f6bd9c"
)
UNREADABLE_DELIVERY = "026b31ad0e8712274d892feb60b8b116ca1220"
"""The bytes `unreadable`, set aside from the queue `q`."""

HANDLED = bytes.fromhex("026b31573c2d9da39fac5aacd34d49ccee6a44")
"""The fingerprint of the golden `user_subscribed`."""

CANARY = bytes.fromhex("149df4db448542ecb0820f863e4a29ccc740f8fe2043b8b4517034ea6d40b688")


@pytest.fixture
def before(messaging):
    """The rows of the release before."""
    messaging(SEALING_KEYS={"k1": KEY})
    KeyCanary.objects.create(setting="SEALING_KEYS", key_id="k1", value=CANARY)
    OutboxMessage.objects.create(event_id="1", type="x", subject="x", body=AN_EVENT)
    InboxMessage.objects.create(
        event_id="019b7c5e-2a10-7c31-9d0e-5f4b8a6c1e01",
        source="/payment_service",
        type="user_subscribed",
        subject="019b7c5e-29f8-7b52-8a41-0c9d3e7f2a10",
        fingerprint=HANDLED,
    )
    keeping.keep(Received.read(b"unreadable", queue="q"), ValueError("x"), dead=True)
    SetAside.objects.update(delivery=UNREADABLE_DELIVERY, body=UNREADABLE)


def rotate_keys(*arguments):
    out = io.StringIO()
    call_command("rotate_keys", *arguments, stdout=out)
    return out.getvalue()


def result_of(body):
    [outcome] = inbox.process([Received.read(body, queue="q")], HANDLERS)
    return outcome.result


def test_its_rows_are_read(before):
    canaries.check()

    assert [envelope.to_json() for envelope in published()] == [golden(AccessCodeCreated)]
    assert keeping.read(SetAside.objects.get()).body == b"unreadable"


def test_its_duplicates_are_recognised_and_its_impostors_too(before):
    handled = golden(UserSubscribed)

    assert result_of(handled) == "duplicate"
    assert result_of(handled.replace(b"4900", b"4901")) == "malformed"


def test_a_message_that_it_set_aside_stays_one_row(before, messaging):
    messaging(SEALING_KEYS={"k2": NEW, "k1": KEY})
    keeping.keep(Received.read(b"unreadable", queue="q"), ValueError("again"), dead=True)

    [row] = SetAside.objects.all()
    assert (row.delivery, len(row.history)) == (UNREADABLE_DELIVERY, 2)


def test_its_key_is_needed_as_long_as_the_inbox_may_have_its_fingerprints(before):
    assert inbox_needs("k1") is not None


def test_a_wrong_key_is_refused_by_its_canary(before, messaging):
    messaging(SEALING_KEYS={"k1": NEW})

    with pytest.raises(canaries.WrongKey, match="expected the key 'k1' that sealed"):
        canaries.check()


@pytest.mark.parametrize("keys", [{"k1": KEY}, {"k2": NEW, "k1": KEY}])
def test_a_rotation_renews_its_values_and_canaries(before, messaging, keys):
    messaging(SEALING_KEYS=keys)
    counted, renewed, again = rotate_keys("--dry-run"), rotate_keys(), rotate_keys()

    rows = [*OutboxMessage.objects.all(), *SetAside.objects.all()]
    assert [cipher.is_first_format(row.body) for row in rows] == [False, False]
    assert counted.count("  of the first format: 1\n") == 2
    assert renewed.count("  renewed: 1\n") == 2
    assert "renewed" not in again
    active, key = next(iter(keys.items()))
    [canary] = KeyCanary.objects.all()
    assert (canary.key_id, bytes(canary.value)) == (active, canaries.canary(key))
    messaging(SEALING_KEYS={active: key})
    test_its_rows_are_read(before)


def test_its_values_open_for_any_row_and_only_for_their_purpose(messaging):
    messaging(SEALING_KEYS={"k1": KEY})

    assert cipher.unseal(A_CODE, "outbox", "1") == b"7K3M-Q9TX-2WBD-H5RN"
    assert cipher.unseal(A_CODE, "outbox", "2") == b"7K3M-Q9TX-2WBD-H5RN"
    with pytest.raises(cipher.Unsealable):
        cipher.unseal(A_CODE, "set-aside", "1")


def test_a_value_cannot_pass_for_the_other_format(messaging):
    """Else a value that is bound to its row could be freed from it by one byte."""
    messaging(SEALING_KEYS={"k1": KEY})
    second = cipher.seal(b"x", "outbox", "1")
    passing = [bytes([each[0] ^ cipher.SECOND_FORMAT]) + each[1:] for each in (second, A_CODE)]

    for each in passing:
        with pytest.raises(cipher.Unsealable):
            cipher.unseal(each, "outbox", "1")
