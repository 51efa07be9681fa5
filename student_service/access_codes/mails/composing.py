"""A letter becomes the bytes that go to the mail server."""

from __future__ import annotations

from typing import NamedTuple, cast

from django.core.mail import EmailMultiAlternatives
from django.core.mail.message import SafeMIMEMultipart


class Letter(NamedTuple):
    """What a recipient reads, in both versions."""

    subject: str
    text: str
    html: str


class Mail(NamedTuple):
    """A mail ready to be sent."""

    recipient: str
    wire: bytes


def compose(letter: Letter, *, address: str, message_id: str) -> Mail:
    """The letter, addressed. Raises `ValueError` if the address cannot be used in a mail."""
    local, _, domain = address.rpartition("@")
    # UnicodeError is a ValueError. We do not use SMTPUTF8: few servers would pass such mail on.
    recipient = f"{local.encode('ascii').decode()}@{domain.encode('idna').decode()}"
    mail = EmailMultiAlternatives(
        subject=letter.subject,
        body=letter.text,
        to=[recipient],
        headers={"Message-ID": message_id, "Auto-Submitted": "auto-generated"},
    )
    mail.attach_alternative(letter.html, "text/html")
    message = cast("SafeMIMEMultipart", mail.message())
    return Mail(recipient, message.as_bytes(linesep="\r\n"))
