"""`rotate_keys` reseals columns and renews look-up hashes with new keys."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from access_codes import admission
from access_codes.models import AccessCode, MailIntent
from admit_one.messaging.testing import an_envelope, deliver
from admit_one.sealing import canaries, cipher, rotation
from django.core.management import call_command
from pytest_django import Settings
from shared_contracts.events import UserSubscribed

pytestmark = pytest.mark.django_db(transaction=True)

SEALING = {"k1": b"1" * 32}
SEALING_NEXT = {"k2": b"2" * 32, **SEALING}
LOOKUP, LOOKUP_NEXT = b"L" * 32, b"N" * 32


Given = Callable[..., None]


@pytest.fixture
def given(settings: Settings) -> Given:
    """Change the keys, as if every process were restarted with them."""

    def change(
        sealing_keys: Mapping[str, bytes], lookup: bytes, to_come: bytes | None = None
    ) -> None:
        settings.SEALING_KEYS = sealing_keys
        settings.CODE_LOOKUP_KEY = lookup
        settings.CODE_LOOKUP_KEY_NEXT = to_come
        canaries.check()

    return change


def issue(number: int = 1, **changes: Any) -> list[str]:
    """Issue codes for new subscriptions; returns the codes."""
    before = set(AccessCode.objects.values_list("pk", flat=True))
    deliver(*(an_envelope(UserSubscribed, **changes) for _ in range(number)))
    return [row.code for row in AccessCode.objects.exclude(pk__in=before)]


def rotate_keys() -> str:
    out = io.StringIO()
    call_command("rotate_keys", stdout=out)
    return out.getvalue()


def found(every: list[str]) -> list[str | None]:
    rows = [admission.look_up(code.lower()).row for code in every]
    return [None if row is None else AccessCode.objects.get(pk=row.pk).code for row in rows]


def test_after_a_rotation_codes_and_addresses_can_be_unsealed_without_the_old_key(
    given: Given,
) -> None:
    given(SEALING, LOOKUP)
    [code] = issue(email="ada@example.com")
    given(SEALING_NEXT, LOOKUP)
    output = rotate_keys()
    given({"k2": SEALING_NEXT["k2"]}, LOOKUP)

    assert "k1 may be removed from SEALING_KEYS." in output
    assert AccessCode.objects.get().code == code
    assert MailIntent.objects.get().address == "ada@example.com"


def test_codes_are_found_at_every_step_of_a_lookup_key_change(given: Given) -> None:
    given(SEALING, LOOKUP)
    every = issue(2)
    given(SEALING, LOOKUP, LOOKUP_NEXT)
    every += issue(2)
    assert found(every) == every
    assert "CODE_LOOKUP_KEY_NEXT may take over" in rotate_keys()
    assert found(every) == every
    given(SEALING, LOOKUP_NEXT)
    every += issue(2)
    assert found(every) == every
    # A process that is not restarted yet finds the codes of those that are.
    given(SEALING, LOOKUP, LOOKUP_NEXT)
    assert found(every) == every
    given(SEALING, LOOKUP_NEXT)
    rotate_keys()
    assert found(every) == every

    hashes = AccessCode.objects.values_list("lookup_hash", "lookup_hash_next")
    wanted = {cipher.lookup_hash(code, LOOKUP_NEXT) for code in every}
    assert {bytes(present or b"") for present, _ in hashes} == wanted
    assert {to_come for _, to_come in hashes} == {None}
    with pytest.raises(canaries.WrongKey, match="CODE_LOOKUP_KEY: expected the key that made"):
        given(SEALING, LOOKUP)


def test_a_lookup_key_that_was_not_in_lookup_key_next_is_refused(given: Given) -> None:
    given(SEALING, LOOKUP)
    issue()

    with pytest.raises(canaries.WrongKey, match="a new one goes into CODE_LOOKUP_KEY_NEXT first"):
        given(SEALING, LOOKUP_NEXT)


def test_a_lookup_key_is_refused_before_all_rows_have_its_hash(given: Given) -> None:
    given(SEALING, LOOKUP)
    issue()
    given(SEALING, LOOKUP, LOOKUP_NEXT)

    with pytest.raises(canaries.WrongKey):
        given(SEALING, LOOKUP_NEXT)


def test_the_active_lookup_key_works_after_an_interrupted_rotation(
    given: Given,
) -> None:
    third = b"T" * 32
    given(SEALING, LOOKUP)
    every = issue()
    given(SEALING, LOOKUP, LOOKUP_NEXT)
    rotate_keys()
    given(SEALING, LOOKUP_NEXT)
    every += issue()
    given(SEALING, LOOKUP_NEXT, third)

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rotation.rotate(end)
    given(SEALING, LOOKUP_NEXT, third)
    assert found(every) == every
    assert "CODE_LOOKUP_KEY_NEXT may take over" in rotate_keys()
    given(SEALING, third)
    assert found(every) == every


def test_after_a_lookup_key_change_mails_are_counted_with_the_new_key(
    given: Given,
) -> None:
    given(SEALING, LOOKUP)
    issue(email="ada@example.com")
    given(SEALING, LOOKUP, LOOKUP_NEXT)
    rotate_keys()
    given(SEALING, LOOKUP_NEXT)
    issue(email="Ada@example.com")
    rotate_keys()

    assert len({bytes(mail.recipient_hash) for mail in MailIntent.objects.all()}) == 1
