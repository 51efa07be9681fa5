"""What rests sealed opens for its own purpose, with a key still listed, unchanged; else it errs."""

from __future__ import annotations

import pytest
from admit_one.sealing import checks, cipher
from admit_one.sealing.cipher import Unsealable
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given
from hypothesis import strategies as st

OLD, NEW = b"0" * 32, b"n" * 32


@given(st.binary(max_size=500), st.text(st.characters(codec="utf-8"), max_size=20))
def test_a_sealed_value_opens_for_the_same_purpose(data, purpose):
    assert cipher.unseal(memoryview(cipher.seal(data, purpose)), purpose) == data


def test_a_sealed_value_shows_nothing_and_is_never_the_same_twice():
    one, other = (
        cipher.seal(b"ada@example.com", "outbox"),
        cipher.seal(b"ada@example.com", "outbox"),
    )

    assert b"ada" not in one
    assert one != other


def test_a_sealed_value_does_not_open_for_another_purpose():
    with pytest.raises(Unsealable, match="changed or for another purpose"):
        cipher.unseal(cipher.seal(b"x", "outbox"), "set-aside")


def test_every_changed_byte_is_noticed():
    sealed = cipher.seal(b"x", "outbox")

    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1
        with pytest.raises(Unsealable):
            cipher.unseal(bytes(changed), "outbox")


def test_a_truncated_value_is_unsealable():
    sealed = cipher.seal(b"x", "outbox")

    for length in range(len(sealed)):
        with pytest.raises(Unsealable):
            cipher.unseal(sealed[:length], "outbox")


@given(st.binary(max_size=100))
def test_any_other_bytes_are_unsealable(data):
    with pytest.raises(Unsealable):
        cipher.unseal(data, "outbox")


def test_after_a_rotation_old_values_open_and_the_new_key_seals(messaging):
    messaging(SEALING_KEYS={"old": OLD})
    before = cipher.seal(b"x", "outbox")

    messaging(SEALING_KEYS={"new": NEW, "old": OLD})
    after = cipher.seal(b"x", "outbox")

    assert cipher.unseal(before, "outbox") == b"x"
    messaging(SEALING_KEYS={"new": NEW})
    assert cipher.unseal(after, "outbox") == b"x"


def test_a_key_no_longer_listed_is_named(messaging):
    messaging(SEALING_KEYS={"old": OLD})
    sealed = cipher.seal(b"x", "outbox")

    messaging(SEALING_KEYS={"new": NEW})

    with pytest.raises(Unsealable, match="key 'old', which SEALING_KEYS does not list"):
        cipher.unseal(sealed, "outbox")


@pytest.mark.parametrize("data", [b"\x07ada@exa", b"\x40" + b"7" * 64, b"\x03\xff\0\x1b", b""])
def test_an_impossible_key_name_is_not_shown(data):
    with pytest.raises(Unsealable) as refused:
        cipher.unseal(data, "outbox")

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

    [error] = checks.there_is_a_key()

    assert (error.id, error.msg.partition(":")[0]) == ("sealing.E001", "SEALING_KEYS")
    with pytest.raises(ImproperlyConfigured):
        cipher.seal(b"x", "outbox")


def test_with_debug_a_key_is_derived_from_the_secret_key(messaging, settings):
    messaging(SEALING_KEYS={})
    settings.DEBUG = True

    sealed = cipher.seal(b"x", "outbox")

    assert (checks.there_is_a_key(), cipher.key_id(sealed)) == ([], "debug")
    assert cipher.unseal(sealed, "outbox") == b"x"
    settings.SECRET_KEY = "of another machine " + "x" * 32
    with pytest.raises(Unsealable):
        cipher.unseal(sealed, "outbox")


def test_debug_at_the_start_counts_when_a_test_runner_has_turned_it_off(messaging, monkeypatch):
    messaging(SEALING_KEYS={})
    monkeypatch.setattr(apps.get_app_config("sealing"), "debug", True)

    assert cipher.key_id(cipher.seal(b"x", "outbox")) == "debug"
