"""One request to an endpoint: where it may go, and how long and how much it may take.

The name is looked up once. Each address that it leads to is checked, and a checked one is used, so
that a name which leads elsewhere a moment later changes nothing. Certificates are checked for the
name. Redirects are not followed, and no proxy is used.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from ipaddress import ip_address
from typing import Any

import urllib3
from django.conf import settings
from urllib3.connection import HTTPConnection, HTTPSConnection

from .networks import Address, is_permitted
from .outcome import Outcome
from .urls import Target

DEADLINE = 10.0
"""Seconds from the look-up of the name to the status of the answer, whatever happens between."""

CONNECT = 4.0
"""Seconds for one of several addresses; the next may answer."""

MOST_ADDRESSES = 4

MOST_BYTES = 32_768
"""Of an answer, which ends with its headers for us."""

NOT_PUBLIC = "the host has no address, or one that is not of the internet"
"""One reason for both, so that no client finds out which names there are inside of our network."""

INTERIM = range(102, 200)
"""Statuses of answers that another one follows."""

AGENT = "Admit-One-Webhooks/1"


class Failed(Exception):
    """There was no answer; says why."""


class Attempt:
    """Runs in a thread of its own, while another watches its deadline."""

    def __init__(self, target: Target, headers: Mapping[str, str], body: str) -> None:
        self._target = target
        own = {"Host": target.authority, "Content-Type": "application/json", "User-Agent": AGENT}
        self._headers, self._body = {**own, **headers}, body.encode()
        self._connection: HTTPConnection | None = None
        self._is_aborted = False
        self.ends_at = time.monotonic() + DEADLINE

    def run(self) -> Outcome:
        """Send the request, and wait for the status of its answer. Never raises."""
        try:
            return self._sent()
        except Failed as error:
            return Outcome(None, str(error))
        except Exception as error:  # noqa: BLE001 (whatever a receiver makes of it is a failure)
            return Outcome(None, _reason(error))
        finally:
            if self._connection is not None:
                self._connection.close()

    def abort(self) -> None:
        """End it from another thread, wherever it waits for the receiver."""
        self._is_aborted = True
        sock = getattr(self._connection, "sock", None)
        if sock is not None:
            with suppress(OSError):  # it is closed already
                # Not the method of an SSLSocket, which would drop what the other thread uses.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _sent(self) -> Outcome:
        self._connection = self._connected(self._addresses())
        self._connection.timeout = self._left()
        self._connection.sock.settimeout(self._left())
        self._connection.request("POST", self._target.path, self._body, self._headers)
        # Not the method of urllib3, which logs the URL and what it cannot read of an answer.
        answer = http.client.HTTPConnection.getresponse(self._connection)
        return outcome(answer.status, answer.headers.get("Retry-After", ""))

    def _addresses(self) -> list[Address]:
        """What the name leads to now. Raises `Failed` if any of it is not permitted."""
        try:
            answers = socket.getaddrinfo(
                self._target.host, self._target.port, type=socket.SOCK_STREAM
            )
        except (OSError, UnicodeError):
            raise Failed(NOT_PUBLIC) from None
        # Without what follows a link-local address, such as %eth0.
        texts = dict.fromkeys(str(answer[4][0]).partition("%")[0] for answer in answers)
        addresses = [ip_address(text) for text in texts]
        if not all(is_permitted(each, settings.WEBHOOK_ALLOWED_NETWORKS) for each in addresses):
            raise Failed(NOT_PUBLIC)
        return addresses[:MOST_ADDRESSES]

    def _connected(self, addresses: list[Address]) -> HTTPConnection:
        """A connection to the first address that takes one. Raises the error of the last."""
        last = len(addresses) - 1
        for place, address in enumerate(addresses):
            left = self._left()
            connection = self._connection = _connection(
                self._target, address, left if place == last else min(left, CONNECT)
            )
            try:
                connection.connect()
            except (OSError, urllib3.exceptions.HTTPError) as error:
                connection.close()
                if place == last or _is_about_tls(error):
                    raise
            else:
                return connection
        raise Failed(NOT_PUBLIC)

    def _left(self) -> float:
        left = self.ends_at - time.monotonic()
        if left <= 0 or self._is_aborted:
            raise TimeoutError
        return left


def outcome(status: int, retry_after: str) -> Outcome:
    """What an answer with this status means."""
    if 200 <= status < 300:
        return Outcome(status)
    error = f"answered {status}"
    if 300 <= status < 400:
        error += "; redirects are not followed"
    is_number = retry_after.isascii() and retry_after.isdecimal() and len(retry_after) < 9
    return Outcome(status, error, int(retry_after) if is_number else 0)


UNSIGNED = Outcome(None, "it cannot be signed here; an operator has to act", is_ours=True)
TOO_LATE = Outcome(None, f"no answer within {DEADLINE:.0f} s")


class TooMuch(http.client.HTTPException):
    """The headers of an answer are too long."""


class _Bounded(io.RawIOBase):
    """The bytes of an answer, which end with an error after `MOST_BYTES`."""

    def __init__(self, raw: Any) -> None:
        self._raw, self._left = raw, MOST_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> Any:
        read = self._raw.readinto(buffer)
        self._left -= read or 0
        if self._left < 0:
            raise TooMuch
        return read

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.fp = io.BufferedReader(_Bounded(self.fp.detach()))

    def begin(self) -> None:
        """Read up to the headers of the final answer.

        A receiver may send any number of interim ones before (RFC 9110, 15.2), of which
        `http.client` passes by 100 only. 101 would be the end of HTTP, which nobody has asked for.
        """
        super().begin()
        while self.status in INTERIM:
            self.headers = None  # type: ignore[assignment]  # else it has begun already
            super().begin()


def _connection(target: Target, address: Address, timeout: float) -> HTTPConnection:
    if target.scheme == "http":
        connection = HTTPConnection(str(address), target.port, timeout=timeout)
    else:
        connection = HTTPSConnection(
            str(address),
            target.port,
            timeout=timeout,
            ssl_context=_context(),
            server_hostname=target.host,
        )
    connection.response_class = _Answer
    return connection


@cache
def _context() -> ssl.SSLContext:
    """Reading all certificates of authorities takes longer than a request."""
    return ssl.create_default_context()


def _is_about_tls(error: BaseException) -> bool:
    return isinstance(error, ssl.SSLError | urllib3.exceptions.SSLError)


REASONS: Sequence[tuple[tuple[type[Exception], ...], str]] = (
    ((TooMuch,), f"the headers of its answer exceed {MOST_BYTES // 1024} KiB"),
    ((ssl.SSLError, urllib3.exceptions.SSLError), "no TLS connection"),
    ((urllib3.exceptions.NewConnectionError,), "no connection"),  # it counts as a timeout, too
    ((TimeoutError, urllib3.exceptions.TimeoutError), TOO_LATE.error),
    ((ConnectionRefusedError,), "no connection"),
    (
        (http.client.RemoteDisconnected, ConnectionError),
        "the connection ended before an answer",
    ),
    ((OSError,), "no connection"),
)
"""The first that fits."""


def _reason(error: Exception) -> str:
    """For people, without anything that the receiver has sent."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {error.verify_message}"
    fitting = (reason for kinds, reason in REASONS if isinstance(error, kinds))
    return next(fitting, "no valid HTTP answer")
