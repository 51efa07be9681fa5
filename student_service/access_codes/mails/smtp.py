"""The mail that carries a code, and the server that takes it: three commands, one answer each."""

from __future__ import annotations

import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.utils import parseaddr
from enum import Enum, auto
from functools import cache, partial
from typing import NamedTuple, Self, cast

from admit_one.masking import mask
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.core.mail.message import SafeMIMEMultipart
from django.core.mail.utils import DNS_NAME
from django.template.loader import render_to_string

TROUBLE = (OSError, smtplib.SMTPException)

SUBJECT = "Your access code"
"""Fixed: nothing that a user typed ever stands in a header, except the one address."""


class Result(Enum):
    SENT = auto()
    PUT_OFF = auto()  # not taken now (4xx): to be tried again
    REFUSED = auto()  # not taken ever (5xx)
    DROPPED = auto()  # the connection ended before the content was sent
    LOST = auto()  # the connection ended before the answer to the content: nobody knows


class Outcome(NamedTuple):
    """What became of one mail, and what the server said."""

    result: Result
    answer: str


class ServerAway(Exception):
    """The mail server takes no mail at all now, whoever it is for. No mail is to blame."""


class Mail(NamedTuple):
    recipient: str
    wire: bytes


def compose(*, address: str, message_id: str, code: str, plan: str) -> Mail:
    """The mail as it goes over the wire. Raises `ValueError` if the address cannot be used."""
    local, _, domain = address.rpartition("@")
    # UnicodeError is a ValueError: we do not use SMTPUTF8, few servers would take it further.
    recipient = f"{local.encode('ascii').decode()}@{domain.encode('idna').decode()}"
    context = {"code": code, "plan": plan}
    mail = EmailMultiAlternatives(
        subject=SUBJECT,
        body=render_to_string("access_codes/mail.txt", context),
        to=[recipient],
        headers={"Message-ID": message_id, "Auto-Submitted": "auto-generated"},
    )
    mail.attach_alternative(render_to_string("access_codes/mail.html", context), "text/html")
    message = cast("SafeMIMEMultipart", mail.message())
    return Mail(recipient, message.as_bytes(linesep="\r\n"))


def domain() -> str:
    """The domain of our own address, for Message-IDs."""
    return parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2]


class Connection:
    """One connection to the mail server, for many mails one after the other.

    Making it and `send` raise `ServerAway` when no mail was handed over.
    """

    def __init__(self) -> None:
        self._sender = parseaddr(settings.DEFAULT_FROM_EMAIL)[1]
        try:
            self._smtp = _connected()
        except TROUBLE as error:
            raise ServerAway(_said(error)) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._smtp.sock is not None:
            self._smtp.sock.settimeout(1.0)  # nobody waits long for a goodbye
        with suppress(*TROUBLE):
            self._smtp.quit()
        self._smtp.close()

    def send(self, mail: Mail) -> Outcome:
        """Hand over one mail, within `EMAIL_TIMEOUT` seconds in all."""
        with _cut_after(self._smtp, settings.EMAIL_TIMEOUT):
            try:
                code, answer = self._smtp.mail(self._sender)
            except TROUBLE as error:
                raise ServerAway(_said(error)) from error
            if code != 250:
                raise ServerAway(f"{code} {_text(answer)}")
            outcome = self._to_recipient(mail)
            if outcome.result is not Result.SENT:
                with suppress(*TROUBLE):
                    self._smtp.rset()
            return outcome

    def _to_recipient(self, mail: Mail) -> Outcome:
        try:
            code, answer = self._smtp.rcpt(mail.recipient)
        except TROUBLE as error:
            return Outcome(Result.DROPPED, _said(error))
        return self._content(mail) if code in {250, 251} else _outcome(code, answer)

    def _content(self, mail: Mail) -> Outcome:
        try:
            return _outcome(*self._smtp.data(mail.wire))
        except smtplib.SMTPDataError as error:
            return _outcome(error.smtp_code, error.smtp_error)
        except TROUBLE as error:
            return Outcome(Result.LOST, _said(error))


@contextmanager
def _cut_after(smtp: smtplib.SMTP, seconds: float) -> Iterator[None]:
    """End the connection if the block takes longer.

    A socket's timeout is not enough: a server that sends a byte now and then starts it anew.
    """

    def cut() -> None:
        if smtp.sock is not None:
            with suppress(OSError):
                smtp.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@cache
def _verified() -> ssl.SSLContext:
    """Checks the server's name and certificate. Made once, and for TLS only: it takes 40 ms."""
    return ssl.create_default_context()


def _connected() -> smtplib.SMTP:
    kind = (
        partial(smtplib.SMTP_SSL, context=_verified()) if settings.EMAIL_USE_SSL else smtplib.SMTP
    )
    smtp = kind(
        settings.EMAIL_HOST,
        settings.EMAIL_PORT,
        local_hostname=DNS_NAME.get_fqdn(),
        timeout=settings.EMAIL_TIMEOUT,
    )
    try:
        with _cut_after(smtp, settings.EMAIL_TIMEOUT):
            if settings.EMAIL_USE_TLS:
                smtp.starttls(context=_verified())
            if settings.EMAIL_HOST_USER:
                smtp.login(settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD)
            smtp.ehlo_or_helo_if_needed()
    except BaseException:
        smtp.close()
        raise
    return smtp


def _outcome(code: int, answer: bytes | str) -> Outcome:
    kinds = {2: Result.SENT, 5: Result.REFUSED}
    return Outcome(kinds.get(code // 100, Result.PUT_OFF), f"{code} {_text(answer)}")


def _said(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{error.smtp_code} {_text(error.smtp_error)}"
    return f"{type(error).__name__}: {mask(str(error))}"


def _text(answer: bytes | str) -> str:
    """A server's answer on one line, without the address that servers like to repeat."""
    text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
    return mask(" ".join(text.split()))
