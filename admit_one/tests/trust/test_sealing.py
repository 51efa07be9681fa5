"""A sealed text opens for its reader only, and in its place only."""

from __future__ import annotations

import pytest
from admit_one.contract.errors import Malformed, UnknownKey
from admit_one.contract.sealed import is_sealed
from admit_one.trust import base64url, sealing
from admit_one.trust.keys import Own, Peer, PublicKey, WireKey

SHOP_KEY, ACCESS_KEY, THIRD_KEY = (WireKey(bytes([n]) * 32) for n in (1, 2, 3))
PLACE = ("event-7", "access_code_assigned", "access_code")
CODE = "7K3M-Q9TX-2WBD-H5RN"


def own(service: str, **keys: WireKey) -> Own:
    return Own(service, keys)


def peer(service: str, **keys: WireKey) -> Peer:
    return Peer(service, {kid: PublicKey(key.public) for kid, key in keys.items()})


SHOP, ACCESS = own("shop", s1=SHOP_KEY), own("access", a1=ACCESS_KEY)
TO_ACCESS, FROM_SHOP = peer("access", a1=ACCESS_KEY), peer("shop", s1=SHOP_KEY)


def sealed(value: str = CODE) -> str:
    return sealing.seal(PLACE, value, SHOP, TO_ACCESS)


@pytest.mark.parametrize("value", [CODE, "", "ü", "a" * 100_000, "sealed.v1.a.b.c", "\x00\n"])
def test_its_reader_opens_it(value):
    assert sealing.unseal(PLACE, sealed(value), ACCESS, FROM_SHOP) == value


def test_it_names_the_senders_key_and_the_readers():
    text = sealed()

    assert text.startswith("sealed.v1.s1.a1.")
    assert is_sealed(text)
    assert CODE not in text


def test_the_same_value_is_never_sealed_alike():
    assert len({sealed() for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "place",
    [
        ("event-8", *PLACE[1:]),
        (PLACE[0], "access_code_created", PLACE[2]),
        (*PLACE[:2], "email"),
    ],
)
def test_it_opens_in_no_other_place(place):
    with pytest.raises(Malformed, match="sealed for another event"):
        sealing.unseal(place, sealed(), ACCESS, FROM_SHOP)


def test_no_byte_of_it_can_be_changed():
    head, _, encoded = sealed().rpartition(".")
    data = base64url.decode(encoded)
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 1
        with pytest.raises(Malformed):
            sealing.unseal(PLACE, f"{head}.{base64url.encode(bytes(changed))}", ACCESS, FROM_SHOP)


def test_a_third_party_cannot_seal_in_the_senders_name():
    forged = sealing.seal(PLACE, CODE, own("shop", s1=THIRD_KEY), TO_ACCESS)

    with pytest.raises(Malformed):
        sealing.unseal(PLACE, forged, ACCESS, FROM_SHOP)


def test_a_third_party_cannot_open_it():
    with pytest.raises(Malformed):
        sealing.unseal(PLACE, sealed(), own("access", a1=THIRD_KEY), FROM_SHOP)


def test_it_does_not_open_on_the_way_back():
    with pytest.raises(Malformed):
        sealing.unseal(PLACE, sealed(), own("shop", a1=SHOP_KEY), peer("access", s1=ACCESS_KEY))


def test_a_sealed_text_within_is_refused():
    """A handler would take it for the value."""
    within = sealing.seal(PLACE, sealed(), SHOP, TO_ACCESS)

    with pytest.raises(Malformed):
        sealing.unseal(PLACE, within, ACCESS, FROM_SHOP)


def test_a_key_that_is_not_listed_may_be_listed_later():
    with pytest.raises(UnknownKey, match="a key 'a1' of ours, unknown here"):
        sealing.unseal(PLACE, sealed(), own("access", a2=ACCESS_KEY), FROM_SHOP)
    with pytest.raises(UnknownKey, match="a key 's1' of shop, unknown here"):
        sealing.unseal(PLACE, sealed(), ACCESS, peer("shop", s2=SHOP_KEY))


def test_both_keys_may_be_replaced_while_messages_are_on_their_way():
    text = sealed()
    reader = own("access", a2=THIRD_KEY, a1=ACCESS_KEY)
    sender = peer("shop", s2=THIRD_KEY, s1=SHOP_KEY)

    assert sealing.unseal(PLACE, text, reader, sender) == CODE


@pytest.mark.parametrize("public", [bytes(32), (1).to_bytes(32, "little")])
def test_a_public_key_with_which_every_secret_is_the_same_is_refused(public):
    low_order = Peer("shop", {"s1": PublicKey(bytes(32) + public)})

    with pytest.raises(Malformed):
        sealing.unseal(PLACE, sealed(), ACCESS, low_order)


@pytest.mark.parametrize("body", [b"", b"{}", b"sealed.v1", b'"sealed.v1.k1.\xff."'])
def test_a_body_without_a_sealed_text_needs_no_key(body):
    assert sealing.reader_key_id(body) == ""


def test_a_body_names_the_key_that_opens_it():
    assert sealing.reader_key_id(b'{"data": {"access_code": "%s"' % sealed().encode()) == "a1"
