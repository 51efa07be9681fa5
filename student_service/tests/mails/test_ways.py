"""Every way to hand over a mail keeps one contract: it ends as taken, refused, away or unknown.

Our SMTP, Django's SMTP and two providers of Anymail, each against a real server.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from access_codes.mails import backends, checks, handing_over, sending
from access_codes.mails.attempt import Attempt, Ending
from access_codes.mails.composing import Letter, Mail, compose
from access_codes.mails.lease import Lease
from access_codes.mails.session import ServerUnavailable
from access_codes.models import MailIntent
from django.core import mail as django_mail
from pytest_django import Settings

from tests.mails import provider as providers
from tests.mails.provider import Provider
from tests.mails.smtp_server import Mailbox
from tests.mails.steps import Kept, always, make_due, subscribe

DJANGO = "django.core.mail.backends"
OURS, DJANGOS = "", f"{DJANGO}.smtp.EmailBackend"
POSTMARK, MAILGUN = (f"anymail.backends.{name}.EmailBackend" for name in ("postmark", "mailgun"))
SMTP, HTTP = [OURS, DJANGOS], [POSTMARK, MAILGUN]
MESSAGE_ID = "<019b7c5e-29f8-7b52-8a41-0c9d3e7f2a10@admit-one.example>"
NOT_THERE = "away"
WORDS = {
    Ending.SENT: "taken",
    Ending.REFUSED: "refused",
    Ending.DEFERRED: "refused",
    Ending.SENDER_REFUSED: "refused",
    Ending.TOO_MANY: "refused",
    Ending.NOT_TRIED: "not tried",
    Ending.DROPPED: NOT_THERE,
    Ending.LOST: "unknown",
}


def a_mail() -> Mail:
    letter = Letter("Your access code", "7K3M-Q9TX-2WBD-H5RN", "<p>7K3M-Q9TX-2WBD-H5RN</p>")
    return compose(letter, address="ada@example.org", message_id=MESSAGE_ID)


def attempt(lease: Lease | None = None) -> Attempt | ServerUnavailable:
    try:
        with handing_over.session() as session:
            return session.send(a_mail(), lease or Kept())
    except ServerUnavailable as error:
        return error


def word(lease: Lease | None = None) -> str:
    made = attempt(lease)
    return NOT_THERE if isinstance(made, ServerUnavailable) else WORDS[made.ending]


@pytest.fixture
def provider(settings: Settings) -> Iterator[Provider]:
    with providers.running() as provider:
        settings.ANYMAIL = {
            "POSTMARK_SERVER_TOKEN": "a-token-of-postmark",
            "POSTMARK_API_URL": provider.url,
            "MAILGUN_API_KEY": "a-key-of-mailgun",
            "MAILGUN_SENDER_DOMAIN": "mg.example",
            "MAILGUN_API_URL": f"{provider.url}v3",
            "REQUESTS_TIMEOUT": 1,
        }
        yield provider


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and never listens
        yield bound.getsockname()[1]


# taken


@pytest.mark.parametrize("path", SMTP)
def test_a_mail_that_the_server_accepts_is_taken(
    settings: Settings, mailbox: Mailbox, path: str
) -> None:
    settings.MAIL_BACKEND = path

    assert word() == "taken"
    [mail] = mailbox.mails
    assert (mail["To"], mail["Message-ID"]) == ("ada@example.org", MESSAGE_ID)


@pytest.mark.parametrize(("path", "name"), [(POSTMARK, "pm-1"), (MAILGUN, "<mg-1@mg.example>")])
def test_a_mail_that_the_provider_accepts_is_taken_under_its_name(
    settings: Settings, provider: Provider, path: str, name: str
) -> None:
    settings.MAIL_BACKEND = path

    made = attempt()

    assert isinstance(made, Attempt)
    assert (made.ending, made.provider_id, made.domain) == (Ending.SENT, name, "example.org")
    [(_, body)] = provider.requests
    assert MESSAGE_ID.strip("<>").partition("@")[0].encode() in body
    assert b"7K3M-Q9TX-2WBD-H5RN" in body
    assert b"yes" not in body  # as Mailgun is asked to track


def test_postmark_keeps_our_message_id_and_returns_it(
    settings: Settings, provider: Provider
) -> None:
    settings.MAIL_BACKEND = POSTMARK
    attempt()

    [(_, body)] = provider.requests
    sent = json.loads(body)
    headers = {header["Name"]: header["Value"] for header in sent["Headers"]}
    assert (headers["Message-ID"], headers["X-PM-KeepID"]) == (MESSAGE_ID, "true")
    assert sent["Metadata"] == {"mail": MESSAGE_ID}
    assert (sent["TrackOpens"], sent["TrackLinks"]) == (False, "None")


@pytest.mark.parametrize("name", ["locmem", "filebased", "dummy", "console"])
def test_a_backend_that_delivers_nothing_takes_mails_too(
    settings: Settings, tmp_path: Path, name: str
) -> None:
    settings.MAIL_BACKEND = f"{DJANGO}.{name}.EmailBackend"
    settings.EMAIL_FILE_PATH = str(tmp_path)

    assert word() == "taken"
    if name == "locmem":
        assert [mail.to for mail in django_mail.outbox] == [["ada@example.org"]]
    if name == "filebased":
        assert MESSAGE_ID in next(tmp_path.iterdir()).read_text()


# refused


@pytest.mark.parametrize("path", SMTP)
@pytest.mark.parametrize(
    ("reply", "ending"),
    [
        ("550 5.1.1 No such user", Ending.REFUSED),
        ("450 4.2.0 Greylisted", Ending.DEFERRED),
        ("550 5.7.1 Relay access denied", Ending.SENDER_REFUSED),
        ("421 4.3.2 Shutting down", Ending.DEFERRED),
    ],
)
def test_a_refusal_of_the_recipient_means_what_its_reply_says(
    settings: Settings, mailbox: Mailbox, path: str, reply: str, ending: Ending
) -> None:
    settings.MAIL_BACKEND = path
    mailbox.answer_rcpt["ada@example.org"] = reply

    made = attempt()

    assert isinstance(made, Attempt)
    assert (made.ending, made.domain) == (ending, "example.org")
    assert reply in made.answer


@pytest.mark.parametrize("path", SMTP)
def test_a_refusal_of_the_content_means_what_its_reply_says(
    settings: Settings, mailbox: Mailbox, path: str
) -> None:
    settings.MAIL_BACKEND = path
    mailbox.answer_data = "552 5.2.2 Mailbox is over quota"

    made = attempt()

    assert isinstance(made, Attempt)
    assert (made.ending, made.answer) == (Ending.REFUSED, "552 5.2.2 Mailbox is over quota")


@pytest.mark.parametrize("path", SMTP)
def test_a_session_goes_on_after_a_refusal(settings: Settings, mailbox: Mailbox, path: str) -> None:
    settings.MAIL_BACKEND = path
    mailbox.answer_rcpt["ada@example.org"] = "550 5.1.1 No such user"

    with handing_over.session() as session:
        first = session.send(a_mail(), Kept())
        mailbox.answer_rcpt.clear()
        second = session.send(a_mail(), Kept())

    assert (first.ending, second.ending) == (Ending.REFUSED, Ending.SENT)
    assert mailbox.connections == 1


# away


@pytest.mark.parametrize("path", SMTP)
def test_where_nobody_listens_the_server_is_away(
    settings: Settings, closed_port: int, path: str
) -> None:
    settings.MAIL_BACKEND = path
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", closed_port

    assert word() == NOT_THERE


@pytest.mark.parametrize("path", SMTP)
def test_a_server_that_refuses_the_sender_takes_no_mail(
    settings: Settings, mailbox: Mailbox, path: str
) -> None:
    settings.MAIL_BACKEND = path
    mailbox.answer_mail_from = "550 5.7.1 You may not send here"

    made = attempt()

    assert isinstance(made, ServerUnavailable)
    assert made.kind == 5
    assert "You may not send here" in str(made)


@pytest.mark.parametrize("path", HTTP)
def test_where_no_provider_listens_it_is_away(
    settings: Settings, provider: Provider, closed_port: int, path: str
) -> None:
    url = f"http://127.0.0.1:{closed_port}/"
    settings.MAIL_BACKEND = path
    settings.ANYMAIL |= {"POSTMARK_API_URL": url, "MAILGUN_API_URL": url}

    assert word() == NOT_THERE


# unknown


@pytest.mark.parametrize("path", SMTP)
def test_a_connection_that_breaks_after_the_content_leaves_it_unknown(
    settings: Settings, mailbox: Mailbox, path: str
) -> None:
    settings.MAIL_BACKEND = path
    mailbox.drop_after_data = True

    assert word() == "unknown"


@pytest.mark.parametrize("path", SMTP)
def test_silence_after_the_content_leaves_it_unknown(
    settings: Settings, mailbox: Mailbox, path: str
) -> None:
    settings.MAIL_BACKEND = path
    settings.EMAIL_TIMEOUT = settings.EMAIL_ACCEPT_TIMEOUT = 1
    mailbox.stall_at_data = True

    assert word() == "unknown"


@pytest.mark.parametrize(("path", "expected"), [(OURS, NOT_THERE), (DJANGOS, "unknown")])
def test_before_the_content_only_our_smtp_can_tell(
    settings: Settings, mailbox: Mailbox, path: str, expected: str
) -> None:
    settings.MAIL_BACKEND = path
    mailbox.drop_at_rcpt = True

    assert word() == expected


@pytest.mark.parametrize("path", HTTP)
@pytest.mark.parametrize("how", ["drops", "stalls", "garbage"])
def test_no_answer_of_a_provider_leaves_it_unknown(
    settings: Settings, provider: Provider, path: str, how: str
) -> None:
    settings.MAIL_BACKEND = path
    if how == "garbage":
        provider.body = b"<html>"
    else:
        setattr(provider, how, True)

    assert word() == "unknown"


class Odd:
    """A backend that answers or raises whatever the test sets."""

    answer: Any = None

    def __init__(self, **_: Any) -> None:
        pass

    def open(self) -> bool:
        return True

    def close(self) -> None:
        raise RuntimeError("it never closes")

    def send_messages(self, _: Any) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize("answer", [None, 0, 2, "1", RuntimeError("?"), ValueError("?"), OSError()])
def test_an_answer_or_an_error_that_says_nothing_leaves_it_unknown(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    settings.MAIL_BACKEND = "tests.mails.test_ways.Odd"
    monkeypatch.setattr(Odd, "answer", answer)

    assert word() == "unknown"


# the lease, and whole mails


class Lost(Kept):
    def hand_over(self) -> bool:
        return False


@pytest.mark.parametrize("path", [DJANGOS, OURS])
def test_a_mail_that_another_worker_has_is_not_handed_over(
    settings: Settings, mailbox: Mailbox, path: str
) -> None:
    settings.MAIL_BACKEND = path

    assert word(Lost()) == "not tried"
    assert mailbox.mails == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", SMTP)
def test_mails_go_over_several_connections(settings: Settings, mailbox: Mailbox, path: str) -> None:
    settings.MAIL_BACKEND, settings.EMAIL_CONNECTIONS = path, 4
    mailbox.pause_at_data = 0.02
    subscribe(*(f"user{n}@example.com" for n in range(40)))

    assert sending.send_due_mails(always) == 40

    assert sorted(mailbox.recipients) == sorted(f"user{n}@example.com" for n in range(40))
    assert mailbox.most_in_hand == 4


@pytest.mark.django_db(transaction=True)
def test_a_mail_in_doubt_is_repeated_with_the_same_message_id(
    settings: Settings, provider: Provider
) -> None:
    settings.MAIL_BACKEND = POSTMARK
    [intent] = subscribe("ada@example.org")
    provider.status = 502
    sending.send_due_mails(always)
    intent.refresh_from_db()
    assert (intent.state, intent.doubts) == (MailIntent.State.UNKNOWN, 1)

    provider.status = 200
    make_due()
    sending.outage.end()
    sending.send_due_mails(always)

    intent.refresh_from_db()
    assert (intent.state, intent.provider_id) == (MailIntent.State.SENT, "pm-1")
    bodies = [json.loads(body) for _, body in provider.requests]
    ids = [next(h["Value"] for h in b["Headers"] if h["Name"] == "Message-ID") for b in bodies]
    assert ids == [intent.message_id] * 2


# what is reported at start


@pytest.mark.parametrize(
    ("path", "faults"),
    [
        (OURS, []),
        (DJANGOS, ["mails.W001"]),
        (POSTMARK, []),
        ("tests.mails.test_ways.Odd", ["mails.W001"]),
        (f"{DJANGO}.locmem.EmailBackend", ["mails.E004"]),
        ("no.such.Backend", ["mails.E003"]),
    ],
)
def test_a_backend_that_cannot_tell_says_so_at_start(
    settings: Settings, provider: Provider, monkeypatch: pytest.MonkeyPatch, path: str, faults: Any
) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    settings.MAIL_BACKEND = path

    assert [fault.id for fault in checks.backend_can_be_trusted()] == faults


def test_a_provider_without_its_key_is_found_at_start(settings: Settings) -> None:
    settings.MAIL_BACKEND = POSTMARK
    settings.ANYMAIL = {}

    [fault] = checks.backend_can_be_trusted()
    assert fault.id == "mails.E003"
    assert "POSTMARK_SERVER_TOKEN" in str(fault.msg)


def test_the_provider_is_known_by_the_path() -> None:
    assert backends.provider_of(POSTMARK) == "postmark"
    assert backends.provider_of(DJANGOS) == ""
