"""Only the holder of the sender's key can sign a body for a receiver."""

from __future__ import annotations

import pytest
from admit_one.contract.errors import Unauthenticated, UnknownKey
from admit_one.trust import base64url, signatures
from admit_one.trust.keys import Own, Peer, PublicKey, WireKey

SHOP, ACCESS = "shop", "access"
OURS, OTHER = WireKey(b"1" * 32), WireKey(b"2" * 32)
OWN = Own(SHOP, {"k1": OURS})
KNOWN = Peer(SHOP, {"k1": PublicKey(OURS.public)})
BODY = b'{"id": "7", "time": "2026-01-02T03:04:05Z", "data": {"amount": 4900}}'


def refused(body: bytes, signature: str, receiver: str = ACCESS) -> str:
    with pytest.raises(Unauthenticated) as error:
        signatures.verify(body, signature, receiver, KNOWN)
    return str(error.value)


def test_a_signature_is_that_of_its_sender_over_these_bytes():
    signatures.verify(BODY, signatures.sign(BODY, OWN, ACCESS), ACCESS, KNOWN)


def test_signing_the_same_bytes_again_makes_the_same_signature():
    assert signatures.sign(BODY, OWN, ACCESS) == signatures.sign(BODY, OWN, ACCESS)


@pytest.mark.parametrize("position", range(len(BODY)))
def test_no_byte_of_the_body_can_be_changed(position):
    changed = bytearray(BODY)
    changed[position] ^= 1

    assert "over this body" in refused(bytes(changed), signatures.sign(BODY, OWN, ACCESS))


@pytest.mark.parametrize("body", [BODY + b" ", b" " + BODY, BODY.replace(b": ", b":"), b""])
def test_a_body_that_means_the_same_is_another_body(body):
    assert refused(body, signatures.sign(BODY, OWN, ACCESS))


def test_a_signature_for_another_receiver_is_none():
    signature = signatures.sign(BODY, OWN, ACCESS)

    assert refused(BODY, signature, receiver="billing")


def test_another_key_by_the_same_id_is_refused():
    signature = signatures.sign(BODY, Own(SHOP, {"k1": OTHER}), ACCESS)

    assert "not that of the key 'k1' of shop" in refused(BODY, signature)


def test_a_key_that_is_not_listed_may_be_listed_later():
    signature = signatures.sign(BODY, Own(SHOP, {"k2": OTHER}), ACCESS)

    with pytest.raises(UnknownKey, match="'k2' of shop, unknown here"):
        signatures.verify(BODY, signature, ACCESS, KNOWN)


def test_the_first_key_signs():
    signature = signatures.sign(BODY, Own(SHOP, {"k2": OTHER, "k1": OURS}), ACCESS)

    assert signature.startswith("v1.k2.")


GOOD = signatures.sign(BODY, OWN, ACCESS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v1",
        "v1.k1.",
        "v2" + GOOD[2:],
        GOOD + "=",
        GOOD + "==",
        GOOD + "\n",
        " " + GOOD,
        GOOD[:-1],
        GOOD + "A",
        GOOD.replace("v1.k1.", "v1.."),
        GOOD.replace("v1.k1.", "v1.k1.."),
        GOOD.replace("v1.k1.", "v1.kéy."),
        "v1.k1." + "!" * 86,
        "v1.k1." + "A" * 86,
    ],
)
def test_what_is_no_signature_is_refused(text):
    assert refused(BODY, text)


def test_a_signature_has_one_spelling_only():
    """86 characters hold 4 bits more than 64 bytes: with other bits there it would be the same."""
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    spellings = {GOOD[:-1] + letter for letter in last} - {GOOD}

    assert len(spellings) == 63
    assert all(refused(BODY, spelling) for spelling in spellings)


def test_both_private_keys_and_every_services_keys_differ():
    assert len({OURS.public[:32], OURS.public[32:], OTHER.public[:32], OTHER.public[32:]}) == 4


def test_a_secret_is_in_no_repr():
    assert "1111" not in repr(OURS) + repr(OWN)
    assert base64url.encode(OURS.secret) not in repr(OWN)
