"""AUTH, with a login in UTF-8 (RFC 4616). What repeats the login never leaves this module."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Collection
from typing import NamedTuple

from .dialogue import Broken, Dialogue, Reply

MECHANISMS = ("CRAM-MD5", "PLAIN", "LOGIN")
"""The best first."""

MAX_QUESTIONS = 3
WITHHELD = "(its answer repeats the login)"


class Login(NamedTuple):
    user: str
    password: str

    def answer(self, mechanism: str, number: int, challenge: bytes) -> bytes:
        """What the server gets for its question of this number."""
        user, password = self.user.encode(), self.password.encode()
        if mechanism == "CRAM-MD5":
            return user + b" " + hmac.new(password, challenge, "md5").hexdigest().encode()
        if mechanism == "PLAIN":
            return b"\0" + user + b"\0" + password
        return password if number else user


class Refused(Exception):
    """The server does not let us in; `reply` is its answer, and the text is without the login."""

    def __init__(self, text: str, reply: Reply | None = None) -> None:
        super().__init__(text)
        self.reply = reply

    @property
    def is_for_the_login(self) -> bool:
        """Whether the login is wrong, rather than the mechanism."""
        return self.reply is not None and self.reply.code == 535


def log_in(dialogue: Dialogue, offered: Collection[str], login: Login) -> None:
    """Log in by the best mechanism that works, of those `offered` in upper case.

    Raises `Refused` and `Broken`. Many servers hang up over a wrong login: that is `Refused`, too.
    """
    refused = Refused("the server offers no way to log in that is known here")
    for mechanism in MECHANISMS:
        if mechanism not in offered or not _works_here(mechanism):
            continue
        said: list[bytes] = []
        try:
            reply = _ask(dialogue, mechanism, login, said)
        except Broken as error:
            if refused.is_for_the_login:
                break
            raise Broken(_without(str(error), login, said)) from None
        if reply.kind == 2:
            return
        if reply.code == 421 and refused.is_for_the_login:
            break
        refused = Refused(_without(str(reply), login, said), reply)
        if reply.kind == 4:
            break
    raise refused


def _works_here(mechanism: str) -> bool:
    """False for CRAM-MD5 without MD5, which OpenSSL does not have in FIPS mode."""
    try:
        Login("", "").answer(mechanism, 0, b"")
    except ValueError:
        return False
    return True


def _ask(dialogue: Dialogue, mechanism: str, login: Login, said: list[bytes]) -> Reply:
    """The server's last reply; adds to `said` what answered its questions."""
    initial = f" {_encoded(login.answer(mechanism, 0, b''))}" if mechanism == "PLAIN" else ""
    reply = dialogue.command(f"AUTH {mechanism}{initial}", fits="2345")
    for number in range(MAX_QUESTIONS):
        if reply.kind != 3:
            return reply
        try:
            challenge = base64.b64decode(b"".join(reply.lines))
        except binascii.Error:
            challenge = b""
        said.append(login.answer(mechanism, number, challenge))
        reply = dialogue.command(_encoded(said[-1]), fits="2345")
    if reply.kind == 3:
        dialogue.close("the server's questions about the login do not end")
    return reply


def _encoded(text: bytes) -> str:
    return base64.b64encode(text).decode()


def _without(text: str, login: Login, said: list[bytes]) -> str:
    """`text` without the user; only its reply code if it repeats anything else that was sent."""
    text = text.replace(login.user, "***") if len(login.user) > 2 else text
    user, password = (part.encode() for part in login)
    plain = _encoded(Login.answer(login, "PLAIN", 0, b""))
    sent = {login.password, plain[:8], _encoded(user)[:8], _encoded(password)[:8]}
    sent |= {answer.removeprefix(user + b" ").decode() for answer in said} - {login.user}
    if any(part and part.lower() in text.lower() for part in sent):
        return f"{text[:3]} {WITHHELD}" if text[:3].isdecimal() else WITHHELD
    return text
