"""Turns a letter into the bytes for the mail server."""

from __future__ import annotations

import re
from email.charset import QP, Charset
from typing import NamedTuple, cast
from unicodedata import normalize

from admit_one.contract.fields import mailable
from django.core.mail import EmailMultiAlternatives
from django.core.mail.message import SafeMIMEText

from . import brand

LINK = re.compile(r"[:/\\@]|[.\u3002][^\W\d_]{2}")
"""URLs, addresses, paths, and host names such as `evil.example`, but not `2.0`."""


class Letter(NamedTuple):
    """What the recipient reads, as plain text and as HTML."""

    subject: str
    text: str
    html: str = ""
    """Empty for a mail of plain text."""
    secrets: tuple[str, ...] = ()
    """What must not be shown, even if a server repeats it."""


class Mail(NamedTuple):
    """As the two ways to hand it over need it: the bytes for our SMTP, the message for others."""

    recipient: str
    wire: bytes
    message: EmailMultiAlternatives | None
    """None if our SMTP is the only way."""
    secrets: tuple[str, ...] = ()


def name_of(plan: str) -> str:
    """The plan; empty if what was reported does not look like the name of one.

    It stands in a mail from our own domain, whoever published the event: no program that shows
    mails may make a link of it, or show it in another order.
    """
    is_a_name = plan.isprintable() and LINK.search(normalize("NFKC", plan)) is None
    return plan if is_a_name else ""


def compose(letter: Letter, *, address: str, message_id: str) -> Mail:
    """Raises `ValueError` if the address cannot be used in a mail."""
    recipient = mailable(address)
    mail = EmailMultiAlternatives(
        subject=letter.subject,
        body=letter.text,
        to=[recipient],
        reply_to=brand.reply_to(),
        headers={"Message-ID": message_id, "Auto-Submitted": "auto-generated"},
    )
    if not (letter.text + letter.html).isascii():
        # Seven bits, always: not every server takes eight, and few would convert them.
        mail.encoding = _quoted_printable()
    if letter.html:
        mail.attach_alternative(letter.html, "text/html")
    message = cast("SafeMIMEText", mail.message())
    return Mail(recipient, message.as_bytes(linesep="\r\n"), mail, letter.secrets)


def _quoted_printable() -> Charset:
    charset = Charset("utf-8")
    charset.body_encoding = QP
    return charset
