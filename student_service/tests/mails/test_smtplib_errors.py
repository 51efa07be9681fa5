"""What the errors of Django's SMTP backend mean, one row after another."""

from __future__ import annotations

import smtplib

import pytest
from access_codes.mails import smtplib_errors
from access_codes.mails.attempt import Ending
from access_codes.mails.session import ServerUnavailable

ADA = "ada@example.org"


@pytest.mark.parametrize(
    ("error", "ending"),
    [
        (smtplib.SMTPRecipientsRefused({ADA: (550, b"5.1.1 No such user")}), Ending.REFUSED),
        (smtplib.SMTPRecipientsRefused({ADA: (451, b"4.7.1 Later")}), Ending.DEFERRED),
        (smtplib.SMTPDataError(554, b"5.7.1 Looks like spam"), Ending.SENDER_REFUSED),
        (smtplib.SMTPDataError(552, b"5.2.2 Over quota"), Ending.REFUSED),
        (smtplib.SMTPDataError(251, b"will forward"), None),
        (smtplib.SMTPDataError(-1, b""), None),
        (smtplib.SMTPServerDisconnected("lost"), None),
        (TimeoutError("timed out"), None),
        (ConnectionResetError("reset"), None),
    ],
)
def test_an_error_means_what_the_table_says(error: Exception, ending: Ending | None) -> None:
    read = smtplib_errors.read(error)

    assert (read and read.ending) == ending


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (smtplib.SMTPSenderRefused(550, b"5.7.1 You may not", "a@shop.example"), 5),
        (smtplib.SMTPSenderRefused(421, b"4.3.2 Too busy", "a@shop.example"), 4),
        (smtplib.SMTPHeloError(504, b"need a name"), 5),
        (smtplib.SMTPNotSupportedError("SMTPUTF8"), 5),
    ],
)
def test_an_error_before_the_recipient_means_that_no_mail_is_taken(
    error: Exception, kind: int
) -> None:
    with pytest.raises(ServerUnavailable) as raised:
        smtplib_errors.read(error)

    assert raised.value.kind == kind


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (smtplib.SMTPAuthenticationError(535, b"5.7.8 no"), 535),
        (smtplib.SMTPConnectError(421, b"4.3.2 busy"), 421),
        (smtplib.SMTPConnectError(-1, b""), None),
        (ConnectionRefusedError(), None),
    ],
)
def test_a_refusal_to_begin_is_known_by_its_reply(error: Exception, code: int | None) -> None:
    (reply,) = smtplib_errors.refusal(error)

    assert (reply and reply.code) == code
