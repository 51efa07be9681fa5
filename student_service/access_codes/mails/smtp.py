"""The mail server: one session hands over many mails, three commands each."""

from __future__ import annotations

import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.utils import parseaddr
from functools import cache, partial
from typing import Self

from django.conf import settings
from django.core.mail.utils import DNS_NAME

from . import attempt
from .attempt import Attempt, Ending
from .composing import Mail

SMTP_ERRORS = (OSError, smtplib.SMTPException)


class ServerAway(Exception):
    """The mail server takes no mail at all now, whoever it is for. No mail is to blame."""


class SmtpSession:
    """One connection to the mail server, for many mails one after the other.

    Making it and `send` raise `ServerAway` when no mail was handed over.
    """

    def __init__(self) -> None:
        self._sender = parseaddr(settings.DEFAULT_FROM_EMAIL)[1]
        try:
            self._smtp = _connect()
        except SMTP_ERRORS as error:
            raise ServerAway(attempt.describe(error)) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._smtp.sock is not None:
            self._smtp.sock.settimeout(1.0)  # nobody waits long for a goodbye
        with suppress(*SMTP_ERRORS):
            self._smtp.quit()
        self._smtp.close()

    def send(self, mail: Mail) -> Attempt:
        """Hand over one mail, within `EMAIL_TIMEOUT` seconds in all."""
        with _cut_after(self._smtp, settings.EMAIL_TIMEOUT):
            self._start()
            made = self._to_recipient(mail)
            if made.ending is not Ending.SENT:
                with suppress(*SMTP_ERRORS):
                    self._smtp.rset()
            return made

    def _start(self) -> None:
        try:
            code, answer = self._smtp.mail(self._sender)
        except SMTP_ERRORS as error:
            raise ServerAway(attempt.describe(error)) from error
        if code != 250:
            raise ServerAway(f"{code} {attempt.one_line(answer)}")

    def _to_recipient(self, mail: Mail) -> Attempt:
        try:
            code, answer = self._smtp.rcpt(mail.recipient)
        except SMTP_ERRORS as error:
            return Attempt(Ending.DROPPED, attempt.describe(error))
        return self._content(mail) if code in {250, 251} else attempt.answered(code, answer)

    def _content(self, mail: Mail) -> Attempt:
        try:
            return attempt.answered(*self._smtp.data(mail.wire))
        except smtplib.SMTPDataError as error:
            return attempt.answered(error.smtp_code, error.smtp_error)
        except SMTP_ERRORS as error:
            return Attempt(Ending.LOST, attempt.describe(error))


def _connect() -> smtplib.SMTP:
    make = (
        partial(smtplib.SMTP_SSL, context=_verified()) if settings.EMAIL_USE_SSL else smtplib.SMTP
    )
    smtp = make(
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


@cache
def _verified() -> ssl.SSLContext:
    """Checks the server's name and certificate. Made once, and for TLS only: it takes 40 ms."""
    return ssl.create_default_context()


@contextmanager
def _cut_after(smtp: smtplib.SMTP, seconds: float) -> Iterator[None]:
    """Cut the connection if the block takes longer.

    A socket's timeout is not enough: each byte that a slow server sends restarts it.
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
