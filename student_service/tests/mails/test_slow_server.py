"""A mail server that never falls quite silent must not hold a mail longer than it may take."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from access_codes.mails import smtp
from access_codes.mails.attempt import Ending
from access_codes.mails.composing import Mail


def drip(listening: socket.socket, answers: list[bytes]) -> None:
    """Answer the first commands at once, and the next one line by line for ever."""
    client, _ = listening.accept()
    with client, suppress(OSError):
        client.sendall(b"220 slow\r\n")
        for answer in answers:
            client.recv(65_536)
            client.sendall(answer)
        client.settimeout(0.1)
        while True:
            client.sendall(b"250-and\r\n")
            with suppress(TimeoutError):
                if client.recv(65_536) == b"":
                    return


@pytest.fixture
def dripping(settings: Any, request: pytest.FixtureRequest) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        settings.EMAIL_HOST, settings.EMAIL_PORT = listening.getsockname()
        settings.EMAIL_TIMEOUT = 1
        server = threading.Thread(target=drip, args=(listening, request.param), daemon=True)
        server.start()
        yield
        server.join()


A_MAIL = Mail("ada@example.org", b"Subject: hello\r\n\r\nhello\r\n")
GREETED = [b"250 slow\r\n"]


@pytest.mark.usefixtures("dripping")
@pytest.mark.parametrize("dripping", [GREETED], indirect=True)
def test_a_server_that_drips_before_it_has_the_mail_is_away() -> None:
    with smtp.SmtpSession() as session, pytest.raises(smtp.ServerAway):
        session.send(A_MAIL)


@pytest.mark.usefixtures("dripping")
@pytest.mark.parametrize("dripping", [[*GREETED, b"250 ok\r\n", b"250 ok\r\n"]], indirect=True)
def test_a_mail_is_lost_if_the_server_drips_after_the_recipient() -> None:
    with smtp.SmtpSession() as session:
        attempt = session.send(A_MAIL)

    assert attempt.ending is Ending.LOST
