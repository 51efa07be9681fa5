"""`manage.py fake_stripe_event` signs an event, and sends it to a web process that takes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from providers import stripe
from providers.fake_stripe import OBJECTS
from providers.models import ProviderEvent
from pytest_django import Settings
from subscriptions.models import Subscription

from tests.providers.stripe_steps import OTHER_SECRET, SECRET
from tools.system.web_process import WebProcess, running

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def web(django_db_setup: None) -> Iterator[WebProcess]:
    known = {"ALLOWED_HOSTS": "testserver,127.0.0.1", "STRIPE_WEBHOOK_SECRETS": SECRET}
    with running(**known) as process:
        yield process


def fake(*arguments: str, **options: Any) -> str:
    out = StringIO()
    call_command("fake_stripe_event", *arguments, stdout=out, **options)
    return out.getvalue()


def url_of(web: WebProcess) -> str:
    return f"http://127.0.0.1:{web.port}/v1/webhooks/stripe"


def test_it_is_taken_by_a_running_web_process(web: WebProcess) -> None:
    for kind in OBJECTS:
        printed = fake(kind, "--sale", "w1", "--live", "--url", url_of(web))
        assert printed.startswith("evt_w1_")
        assert ': 200 {"result":"' in printed

    row = Subscription.objects.get()
    assert (row.status, row.test) == ("refunded", False)
    assert ProviderEvent.objects.exclude(state__in=("handled", "ignored")).count() == 0


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--signed-ago", "360"], "invalid_signature"),
        (["--api-version", "2025-03-31.basil"], "unsupported_version"),
    ],
)
def test_what_is_refused_is_shown_and_fails(web: WebProcess, options: list[str], code: str) -> None:
    out = StringIO()
    arguments = ["fake_stripe_event", "checkout.session.completed", *options, "--url", url_of(web)]
    with pytest.raises(CommandError, match="it was not taken"):
        call_command(*arguments, stdout=out)

    assert f'"code": "{code}"' in out.getvalue()
    assert not Subscription.objects.exists()


def test_a_secret_that_the_web_process_does_not_have_is_refused(
    web: WebProcess, settings: Settings
) -> None:
    settings.STRIPE_WEBHOOK_SECRETS = [OTHER_SECRET]
    with pytest.raises(CommandError, match="it was not taken"):
        fake("charge.refunded", "--url", url_of(web))


@pytest.mark.parametrize("kind", OBJECTS)
def test_it_prints_an_event_and_sends_nothing(kind: str) -> None:
    printed = json.loads(fake(kind, "--sale", "p1", "--print"))

    assert (printed["type"], printed["api_version"]) == (kind, stripe.API_VERSION)
    assert printed["livemode"] is False


def test_every_type_that_changes_something_can_be_made() -> None:
    assert set(stripe.READERS) < set(OBJECTS)


def test_no_answer_is_a_failure() -> None:
    with pytest.raises(CommandError, match=r"no answer from http://127\.0\.0\.1:1/"):
        fake("charge.refunded", "--url", "http://127.0.0.1:1/")


def test_another_kind_of_address_is_wrong_usage() -> None:
    with pytest.raises(CommandError) as refused:
        fake("charge.refunded", "--url", "file:///etc/passwd")

    assert refused.value.returncode == 2


def test_without_secrets_there_is_nothing_to_sign_with(settings: Settings) -> None:
    settings.STRIPE_WEBHOOK_SECRETS = []
    with pytest.raises(CommandError, match="expected STRIPE_WEBHOOK_SECRETS"):
        fake("charge.refunded")
