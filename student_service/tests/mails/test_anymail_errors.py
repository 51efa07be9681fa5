"""What the answers of a provider mean, one row after another, over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from access_codes.mails import anymail_errors, handing_over, sending
from access_codes.mails.attempt import Attempt, Ending
from access_codes.mails.session import ServerUnavailable
from access_codes.models import MailIntent
from anymail.exceptions import (
    AnymailAPIError,
    AnymailInvalidAddress,
    AnymailRecipientsRefused,
    AnymailSerializationError,
    AnymailUnsupportedFeature,
)
from pytest_django import Settings
from requests import exceptions as requests_errors

from tests.mails import provider as providers
from tests.mails.provider import Provider
from tests.mails.steps import Kept, always, subscribe
from tests.mails.test_ways import a_mail

FOR_GOOD, FOR_NOW = 5, 4


@pytest.fixture
def postmark(settings: Settings) -> Iterator[Provider]:
    with providers.running() as provider:
        settings.MAIL_BACKEND = "anymail.backends.postmark.EmailBackend"
        settings.ANYMAIL = {
            "POSTMARK_SERVER_TOKEN": "a-token-of-postmark",
            "POSTMARK_API_URL": provider.url,
        }
        yield provider


def ending() -> Ending | int:
    """How a mail ends, or the kind of a refusal of all mails."""
    try:
        with handing_over.session() as session:
            return session.send(a_mail(), Kept()).ending
    except ServerUnavailable as error:
        return error.kind


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *((status, FOR_GOOD) for status in (401, 402, 403, 404)),
        *((status, FOR_NOW) for status in (429, 503)),
        (408, Ending.DEFERRED),
        *((status, Ending.SENDER_REFUSED) for status in (400, 405, 413, 418, 451)),
        *((status, Ending.LOST) for status in (300, 500, 501, 502, 504, 599)),
    ],
)
def test_a_status_means_what_the_table_says(
    postmark: Provider, status: int, expected: Ending | int
) -> None:
    postmark.status = status
    postmark.body = b'{"ErrorCode": 10, "Message": "no"}'

    assert ending() == expected


@pytest.mark.parametrize("code", [300, 406])
def test_a_recipient_that_the_provider_refuses_is_refused_for_good(
    postmark: Provider, code: int
) -> None:
    postmark.status = 422
    message = "Invalid 'To' address: 'ada@example.org'." if code == 300 else (
        "You tried to send to recipient(s) that have been marked as inactive. Found inactive "
        "addresses: ada@example.org. Inactive recipients are ones that have generated a hard "
        "bounce, a spam complaint, or a manual suppression."
    )  # fmt: skip
    postmark.body = f'{{"ErrorCode": {code}, "Message": "{message}"}}'.encode()

    assert ending() == Ending.REFUSED


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (AnymailRecipientsRefused(), Ending.REFUSED),
        (AnymailInvalidAddress("no"), Ending.REFUSED),
        (AnymailUnsupportedFeature("no"), Ending.SENDER_REFUSED),
        (AnymailSerializationError("no"), Ending.SENDER_REFUSED),
        (AnymailAPIError("no"), None),
        (RuntimeError("no"), None),
        (requests_errors.ReadTimeout("no"), None),
        (requests_errors.ConnectionError("no"), None),
        (requests_errors.SSLError("no"), None),
    ],
)
def test_an_error_means_what_the_table_says(error: Exception, expected: Ending | None) -> None:
    read = anymail_errors.read(error)

    assert (read.ending if isinstance(read, Attempt) else read) == expected


@pytest.mark.django_db
@pytest.mark.parametrize(("status", "tries"), [(401, 1), (429, 3)])
def test_a_provider_that_takes_no_mail_holds_all_and_charges_none(
    postmark: Provider, status: int, tries: int
) -> None:
    intents = subscribe(*(f"user{n}@example.org" for n in range(3)))
    postmark.status, postmark.body = status, b"{}"

    for _ in range(tries):
        sending.outage._rest_until = 0
        sending.send_due_mails(always)

    assert sending.outage.held
    assert len(postmark.requests) == tries
    for intent in intents:
        intent.refresh_from_db()
        assert (intent.state, intent.attempts) == (MailIntent.State.PENDING, 0)


def test_what_is_kept_of_an_error_shows_no_address_and_no_key(postmark: Provider) -> None:
    postmark.status = 400
    postmark.body = b'{"ErrorCode": 10, "Message": "ada@example.org is wrong"}'

    with handing_over.session() as session:
        made = session.send(a_mail(), Kept())

    assert "ada@example.org" not in made.answer
    assert "a-token-of-postmark" not in made.answer
    assert "is wrong" in made.answer
