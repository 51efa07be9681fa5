"""The golden files are what goes over the wire; this side must read its own, and write like it."""

from __future__ import annotations

import json
from importlib import resources

import pytest
from jsonschema import Draft202012Validator
from shared_contracts.envelope import Envelope
from shared_contracts.messaging.testing import deliver, published
from subscriptions.models import Subscription

from tests.factories import a_subscription

pytestmark = pytest.mark.django_db
SHARED = resources.files("shared_contracts")


def test_the_golden_access_code_is_stored() -> None:
    golden = SHARED.joinpath("golden/access_code_created.json").read_bytes()
    expected = Envelope.from_json(golden).data
    subscription = a_subscription()
    Subscription.objects.filter(pk=subscription.pk).update(id=expected.subscription_id)
    deliver(golden)

    assert Subscription.objects.get().code == expected.access_code
    assert Subscription.objects.get().code_issued_at == expected.issued_at


def test_the_golden_mail_failure_is_noted() -> None:
    golden = SHARED.joinpath("golden/access_code_undeliverable.json").read_bytes()
    expected = Envelope.from_json(golden).data
    subscription = a_subscription()
    Subscription.objects.filter(pk=subscription.pk).update(id=expected.subscription_id)
    deliver(golden)

    noted = Subscription.objects.get()
    assert (noted.mail_failure, noted.mail_failed_at) == (expected.reason, expected.failed_at)


def test_what_is_published_has_the_form_of_the_golden_event() -> None:
    golden = json.loads(SHARED.joinpath("golden/user_subscribed.json").read_bytes())
    a_subscription()

    [ask] = published()
    written = json.loads(ask.to_json())
    optional = {"causationid", "traceparent"}
    assert written.keys() - optional == golden.keys() - optional
    assert written["data"].keys() == golden["data"].keys()
    assert (written["type"], written["source"]) == (golden["type"], golden["source"])


def test_what_is_published_fits_the_committed_schema() -> None:
    schema = json.loads(SHARED.joinpath("schemas/user_subscribed.schema.json").read_bytes())
    a_subscription()

    [ask] = published()
    Draft202012Validator(schema).validate(json.loads(ask.to_json()))
