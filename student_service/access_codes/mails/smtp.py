"""A session with the mail server, for many mails, with three commands each."""

from __future__ import annotations

import random
import re
import socket
import ssl
import time
from contextlib import suppress
from email.utils import parseaddr
from functools import cache
from typing import Self

from django.conf import settings
from django.core.mail.utils import DNS_NAME

from .attempt import AGAIN, Attempt, Ending, refused
from .composing import Mail
from .dialogue import Broken, Dialogue, Reply, describe
from .lease import Lease
from .login import Login, Refused, log_in
from .session import ServerUnavailable as ServerUnavailable  # noqa: PLC0414 (what it raises)

GOODBYE_SECONDS = 1.0
"""Nobody waits long for a goodbye."""

SHORTEST_SHARE = 0.05
"""Seconds to connect to one of the server's addresses, however many it has."""

LINE_BREAK = re.compile(rb"\r\n|\r|\n")
FIRST_DOT = re.compile(rb"^\.", re.MULTILINE)
PUBLIC_NAME = re.compile(
    r"(?!.*\.(local|localdomain|internal|lan|home)$)[a-z0-9-]+(\.[a-z0-9-]+)+", re.IGNORECASE
)


class SmtpSession:
    """One connection to the mail server, for many mails in sequence.

    The constructor and `send` raise `ServerUnavailable` if the server accepts no mail at all.
    """

    def __init__(self) -> None:
        self._sender = parseaddr(settings.DEFAULT_FROM_EMAIL)[1]
        self._dialogue = _connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind in {None, ServerUnavailable} and not self._dialogue.is_over:
            self._dialogue.allow(GOODBYE_SECONDS)
            with suppress(Broken):
                self._dialogue.command("QUIT", fits="2345")
        self._dialogue.close()

    def send(self, mail: Mail, lease: Lease) -> Attempt:
        """Hand over one mail.

        It takes `EMAIL_TIMEOUT` seconds at most, and from the final dot `EMAIL_ACCEPT_TIMEOUT`.
        """
        self._dialogue.allow(settings.EMAIL_TIMEOUT)
        self._start()
        attempt = self._to_recipient(mail, lease)
        if attempt.ending is Ending.NOT_TRIED:
            return attempt
        if attempt.ending is not Ending.SENT:
            with suppress(Broken):
                self._dialogue.command("RSET", fits="2")
        return attempt._replace(domain=mail.recipient.rpartition("@")[2].lower())

    def _start(self) -> None:
        try:
            _expect_2(self._dialogue.command(f"MAIL FROM:<{self._sender}>", fits="245"))
        except Broken as error:
            raise ServerUnavailable(str(error)) from None

    def _to_recipient(self, mail: Mail, lease: Lease) -> Attempt:
        try:
            for command, fits, go_on in (
                (f"RCPT TO:<{mail.recipient}>", "245", 2),
                ("DATA", "345", 3),
            ):
                reply = self._dialogue.command(command, fits=fits)
                if reply.kind != go_on:
                    return self._refused(reply, at=command[:4])
            self._dialogue.put(_content(mail.wire))
            if not lease.hand_over():
                self._dialogue.close()  # the server waits for the final dot, which must not come
                return Attempt(Ending.NOT_TRIED, "another worker may have it", pause=AGAIN)
            self._dialogue.require_nothing_unread()
        except Broken as error:
            return Attempt(Ending.DROPPED, str(error))
        return self._finish(lease)

    def _finish(self, lease: Lease) -> Attempt:
        """The final dot. Only from its reply does anything conclude that a mail was sent."""
        try:
            self._dialogue.allow(settings.EMAIL_ACCEPT_TIMEOUT)
            self._dialogue.put(b".\r\n")
            reply = self._dialogue.reply(fits="245", go_on=lease.keep)
            if reply.kind == 2:
                self._dialogue.require_received()
        except Broken as error:
            return Attempt(Ending.LOST, str(error))
        self._dialogue.allow(settings.EMAIL_TIMEOUT)
        if reply.kind == 2:
            return Attempt(Ending.SENT, str(reply))
        return self._refused(reply, at=".")

    def _refused(self, reply: Reply, at: str) -> Attempt:
        if reply.code == 421:  # RFC 5321: it closes the connection
            self._dialogue.close(str(reply))
        return refused(reply, at)


def _connect() -> Dialogue:
    """A session that is ready for mails. Whatever goes wrong, no error shows a login."""
    try:
        sock = _reach(settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT)
    except (OSError, ValueError) as error:  # ValueError: a host that is no name
        raise ServerUnavailable(describe(error)) from None
    dialogue = Dialogue(sock, settings.EMAIL_TIMEOUT)
    try:
        _open(dialogue)
    except Broken as error:
        raise ServerUnavailable(str(error)) from None
    except BaseException:
        dialogue.close()
        raise
    return dialogue


def _reach(host: str, port: int, seconds: float) -> socket.socket:
    """A connection to one of the host's addresses, which have so many seconds together.

    In any order, as MTAs try them: one that takes connections and is silent must not stop all mails
    forever.
    """
    until = time.monotonic() + seconds
    entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(address[0]) for *_, address in entries))
    random.shuffle(addresses)
    problem = OSError("the host has no address")
    while addresses:
        share = max(SHORTEST_SHARE, (until - time.monotonic()) / len(addresses))
        try:
            sock = socket.create_connection((addresses.pop(), port), timeout=share)
            # The final dot is a packet of its own, and must not wait for the content's
            # acknowledgement.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            problem = error
        else:
            return sock
    raise problem


def _open(dialogue: Dialogue) -> None:
    if settings.EMAIL_USE_SSL:
        _start_tls(dialogue)
    _expect_2(dialogue.reply(fits="245"))
    offers = _hello(dialogue)
    if settings.EMAIL_USE_TLS:
        if "STARTTLS" not in offers:
            raise ServerUnavailable("the server offers no STARTTLS")
        _expect_2(dialogue.command("STARTTLS", fits="245"))
        _start_tls(dialogue)
        offers = _hello(dialogue)
    if settings.EMAIL_HOST_USER:
        _log_in(dialogue, offers.get("AUTH", []))


def _start_tls(dialogue: Dialogue) -> None:
    # A dot at the end is for the resolver; certificates have none.
    dialogue.start_tls(_verified(), settings.EMAIL_HOST.removesuffix("."))


def _hello(dialogue: Dialogue) -> dict[str, list[str]]:
    """Introduce us; the extensions that the server offers, with their parameters.

    All in upper case, and `AUTH=` as `AUTH`: many servers offer it in both forms.
    """
    name = settings.EMAIL_HELO_NAME or _our_name(dialogue.our_address)
    reply = dialogue.command(f"EHLO {name}", fits="245")
    if reply.kind == 5 and reply.code != 554:  # a server that does not know it
        _expect_2(dialogue.command(f"HELO {name}", fits="245"))
        return {}
    _expect_2(reply)
    offers: dict[str, list[str]] = {}
    for line in reply.lines[1:]:
        words = line.decode("ascii", "replace").upper().replace("AUTH=", "AUTH ", 1).split()
        for name in words[:1]:
            offers.setdefault(name, []).extend(words[1:])
    return offers


def _our_name(address: str) -> str:
    """A name that servers accept: a public one, or else the address, as RFC 5321 asks."""
    name: str = DNS_NAME.get_fqdn()
    if PUBLIC_NAME.fullmatch(name):
        return name
    address = address.partition("%")[0]  # without the zone, which is this machine's own
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def _log_in(dialogue: Dialogue, mechanisms: list[str]) -> None:
    who = Login(settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD)
    try:
        log_in(dialogue, mechanisms, who)
    except Refused as error:
        raise ServerUnavailable(str(error), error.reply) from None


def _expect_2(reply: Reply) -> None:
    if reply.kind != 2:
        raise ServerUnavailable(str(reply), reply)


def _content(wire: bytes) -> bytes:
    """All but the final dot: whole lines, and no line that could be taken for it."""
    lines = FIRST_DOT.sub(b"..", LINE_BREAK.sub(b"\n", wire)).replace(b"\n", b"\r\n")
    return lines if lines.endswith(b"\r\n") else lines + b"\r\n"


@cache
def _verified() -> ssl.SSLContext:
    """Verifies the server's certificate. Cached, because creating it takes 40 ms."""
    return ssl.create_default_context()
