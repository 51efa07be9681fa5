"""The payment service's codes are resealed with a new key."""

from __future__ import annotations

import io
from collections.abc import Mapping

import pytest
from admit_one.sealing import canaries, cipher
from django.core.management import call_command
from django.utils import timezone
from providers.models import ProviderEvent
from pytest_django import Settings
from subscriptions.models import CODE_PURPOSE, Subscription

from tests.factories import a_subscription

pytestmark = pytest.mark.django_db(transaction=True)


def test_codes_are_shown_without_the_old_key_after_a_rotation(
    settings: Settings,
) -> None:
    def given(sealing_keys: Mapping[str, bytes]) -> None:
        settings.SEALING_KEYS = sealing_keys
        canaries.check()

    old, new = {"k1": b"1" * 32}, {"k2": b"2" * 32}
    given(old)
    waiting, active = a_subscription(), a_subscription()
    sealed = cipher.seal(b"7K3M-Q9TX-2WBD-H5RN", CODE_PURPOSE, active.pk)
    Subscription.objects.filter(pk=active.pk).update(access_code=sealed)
    event = ProviderEvent(
        provider="stripe", event_id="evt_1", type="x", test=True, created_at=timezone.now()
    )
    event.body = event.sealed(b"{}")
    event.save()
    given({**new, **old})
    out = io.StringIO()
    call_command("rotate_keys", stdout=out)
    given(new)

    [event] = ProviderEvent.objects.all()
    assert event.opened() == b"{}"
    codes = {row.pk: row.code for row in Subscription.objects.all()}
    assert codes == {waiting.pk: None, active.pk: "7K3M-Q9TX-2WBD-H5RN"}
    assert "k1 may be removed from SEALING_KEYS." in out.getvalue()
