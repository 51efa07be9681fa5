"""Turns a letter into the bytes for the mail server."""

from __future__ import annotations

from email.charset import QP, Charset
from typing import NamedTuple, cast

from admit_one.contract.fields import mailable
from django.core.mail import EmailMultiAlternatives
from django.core.mail.message import SafeMIMEMultipart


class Letter(NamedTuple):
    """What the recipient reads, as plain text and as HTML."""

    subject: str
    text: str
    html: str


class Mail(NamedTuple):
    recipient: str
    wire: bytes


def compose(letter: Letter, *, address: str, message_id: str) -> Mail:
    """Raises `ValueError` if the address cannot be used in a mail."""
    recipient = mailable(address)
    mail = EmailMultiAlternatives(
        subject=letter.subject,
        body=letter.text,
        to=[recipient],
        headers={"Message-ID": message_id, "Auto-Submitted": "auto-generated"},
    )
    if not (letter.text + letter.html).isascii():
        # Seven bits, always: not every server takes eight, and few would convert them.
        mail.encoding = _quoted_printable()
    mail.attach_alternative(letter.html, "text/html")
    message = cast("SafeMIMEMultipart", mail.message())
    return Mail(recipient, message.as_bytes(linesep="\r\n"))


def _quoted_printable() -> Charset:
    charset = Charset("utf-8")
    charset.body_encoding = QP
    return charset
