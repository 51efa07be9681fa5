"""A sealed value opens only unchanged, for its own purpose, and with a listed key."""

from __future__ import annotations

import hmac

import pytest
from admit_one.sealing import cipher, keyring
from admit_one.sealing.cipher import Unsealable
from admit_one.sealing.derived import derived
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

OLD, NEW = b"0" * 32, b"n" * 32


@given(st.binary(max_size=500), st.sampled_from(sorted(keyring.sealed_purposes())))
def test_a_sealed_value_opens_for_the_same_purpose(data, purpose):
    assert cipher.unseal(memoryview(cipher.seal(data, purpose, "1")), purpose, "1") == data


def test_a_sealed_value_shows_nothing_and_is_never_the_same_twice():
    one, other = (
        cipher.seal(b"ada@example.com", "outbox", "1"),
        cipher.seal(b"ada@example.com", "outbox", "1"),
    )

    assert b"ada" not in one
    assert one != other


def test_a_sealed_value_does_not_open_for_another_purpose():
    with pytest.raises(Unsealable, match="another column or row"):
        cipher.unseal(cipher.seal(b"x", "outbox", "1"), "set-aside", "1")


def test_a_sealed_value_does_not_open_in_another_row():
    sealed = cipher.seal(b"x", "outbox", "1")

    with pytest.raises(Unsealable, match="changed, or sealed for another column or row"):
        cipher.unseal(sealed, "outbox", "2")


def test_a_row_is_the_same_whether_its_id_is_text_or_a_uuid():
    row = uuid7()

    assert cipher.unseal(cipher.seal(b"x", "outbox", row), "outbox", str(row)) == b"x"


def test_no_two_uses_share_a_key_and_none_uses_the_setting_itself():
    """Two HMACs make HKDF (RFC 5869): one extracts, one expands to a single block."""

    def hkdf(label):
        extracted = hmac.digest(bytes(32), OLD, "sha256")
        return hmac.digest(extracted, b"admit-one sealing: " + label + b"\1", "sha256")

    ours = derived(OLD)
    by_hand = AESGCM(hkdf(b"AES-256-GCM")).encrypt(bytes(12), b"x", b"")

    assert ours.cipher.encrypt(bytes(12), b"x", b"") == by_hand
    assert ours.fingerprint == hkdf(b"fingerprint, BLAKE2b")
    assert ours.canary == hkdf(b"canary")


def test_nothing_is_sealed_that_a_rotation_would_not_find():
    with pytest.raises(ValueError, match="'notes': list it in the KEYRING"):
        cipher.seal(b"x", "notes", "1")


def test_every_changed_byte_is_noticed():
    sealed = cipher.seal(b"x", "outbox", "1")

    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1
        with pytest.raises(Unsealable):
            cipher.unseal(bytes(changed), "outbox", "1")


def test_a_truncated_value_is_unsealable():
    sealed = cipher.seal(b"x", "outbox", "1")

    for length in range(len(sealed)):
        with pytest.raises(Unsealable):
            cipher.unseal(sealed[:length], "outbox", "1")


@given(st.binary(max_size=100))
def test_any_other_bytes_are_unsealable(data):
    with pytest.raises(Unsealable):
        cipher.unseal(data, "outbox", "1")


def test_after_a_rotation_old_values_open_and_the_new_key_seals(messaging):
    messaging(SEALING_KEYS={"old": OLD})
    before = cipher.seal(b"x", "outbox", "1")

    messaging(SEALING_KEYS={"new": NEW, "old": OLD})
    after = cipher.seal(b"x", "outbox", "1")

    assert cipher.unseal(before, "outbox", "1") == b"x"
    messaging(SEALING_KEYS={"new": NEW})
    assert cipher.unseal(after, "outbox", "1") == b"x"


def test_a_key_no_longer_listed_is_named(messaging):
    messaging(SEALING_KEYS={"old": OLD})
    sealed = cipher.seal(b"x", "outbox", "1")

    messaging(SEALING_KEYS={"new": NEW})

    with pytest.raises(Unsealable, match="key 'old', which SEALING_KEYS does not list"):
        cipher.unseal(sealed, "outbox", "1")


@pytest.mark.parametrize("data", [b"\x07ada@exa", b"\x40" + b"7" * 64, b"\x03\xff\0\x1b", b""])
def test_an_invalid_key_id_is_not_shown(data):
    with pytest.raises(Unsealable) as refused:
        cipher.unseal(data, "outbox", "1")

    assert (str(refused.value), cipher.key_id(data)) == ("sealed with an unknown key", "")


def test_a_fingerprint_matches_its_bytes_only_and_survives_a_rotation(messaging):
    messaging(SEALING_KEYS={"old": OLD})
    known = cipher.fingerprint(b"body")

    messaging(SEALING_KEYS={"new": NEW, "old": OLD})

    assert cipher.matches(memoryview(known), b"body")
    assert not cipher.matches(known, b"other body")


def test_a_fingerprint_without_its_key_matches_anything(messaging):
    messaging(SEALING_KEYS={"old": OLD})
    known = cipher.fingerprint(b"body")

    messaging(SEALING_KEYS={"new": NEW})

    assert cipher.matches(known, b"other body")


def test_a_lookup_hash_depends_on_value_and_key():
    hashed = cipher.lookup_hash("7K3MQ9TX2WBDH5RN", OLD)

    assert len(hashed) == 32
    assert hashed == cipher.lookup_hash("7K3MQ9TX2WBDH5RN", OLD)
    assert hashed != cipher.lookup_hash("7K3MQ9TX2WBDH5RN", NEW)
    assert hashed != cipher.lookup_hash("7K3MQ9TX2WBDH5RP", OLD)


def test_without_a_key_the_check_names_the_setting(messaging):
    messaging(SEALING_KEYS={})

    [error] = keyring.there_is_a_key()

    assert (error.id, error.msg.partition(":")[0]) == ("sealing.E001", "SEALING_KEYS")
    with pytest.raises(ImproperlyConfigured):
        cipher.seal(b"x", "outbox", "1")


@pytest.mark.parametrize("keys", ["k1:hunter2", {"k1": "hunter2"}, {"k1": b"hunter2"}], ids=str)
def test_keys_of_another_type_or_length_are_refused_and_never_shown(messaging, keys):
    messaging(SEALING_KEYS=keys)

    [error] = keyring.there_is_a_key()

    assert error.id == "sealing.E002"
    assert "hunter2" not in error.msg


@pytest.mark.parametrize("kid", ["", "k-1", "2026.1", "k" * 17, "ключ" * 4, 1])
def test_a_key_id_under_which_nothing_could_be_unsealed_is_refused(messaging, kid):
    messaging(SEALING_KEYS={kid: OLD})

    [error] = keyring.there_is_a_key()

    assert error.id == "sealing.E003"
    assert error.msg == "SEALING_KEYS: expected key ids of 1 to 16 letters or digits, got another"


def test_with_debug_a_key_is_derived_from_the_secret_key(messaging, settings):
    messaging(SEALING_KEYS={})
    settings.DEBUG = True

    sealed = cipher.seal(b"x", "outbox", "1")

    assert (keyring.there_is_a_key(), cipher.key_id(sealed)) == ([], "debug")
    assert cipher.unseal(sealed, "outbox", "1") == b"x"
    settings.SECRET_KEY = "of another machine " + "x" * 32
    with pytest.raises(Unsealable):
        cipher.unseal(sealed, "outbox", "1")


def test_debug_at_the_start_counts_when_a_test_runner_has_turned_it_off(messaging, monkeypatch):
    messaging(SEALING_KEYS={})
    monkeypatch.setattr(apps.get_app_config("sealing"), "debug", True)

    assert cipher.key_id(cipher.seal(b"x", "outbox", "1")) == "debug"
