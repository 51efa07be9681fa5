"""A mail server that trickles its answers cannot hold a mail beyond its time."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from access_codes.mails import sending, smtp
from access_codes.mails.attempt import Ending
from access_codes.models import MailIntent
from admit_one.tasks.runs import stopping
from django.db import connections
from pytest_django import Settings

from tests.mails.scripted_server import Answer, ScriptedServer
from tests.mails.steps import Kept, always, of_bytes, subscribe
from tools.system.eventually import eventually

State = MailIntent.State


def drip(listening: socket.socket, answers: list[bytes]) -> None:
    """Answer the first commands at once, and the next one line by line forever."""
    client, _ = listening.accept()
    with client, suppress(OSError):
        client.sendall(b"220 slow\r\n")
        for answer in answers:
            client.recv(65_536)
            client.sendall(answer)
        received = b""
        while answers[-1:] == [b"354 go on\r\n"] and not received.endswith(b"\r\n.\r\n"):
            received += client.recv(65_536)
        client.settimeout(0.1)
        while True:
            client.sendall(b"250-and\r\n")
            with suppress(TimeoutError):
                if client.recv(65_536) == b"":
                    return


@pytest.fixture
def dripping(settings: Settings, request: pytest.FixtureRequest) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        settings.EMAIL_HOST, settings.EMAIL_PORT = listening.getsockname()
        settings.EMAIL_TIMEOUT = settings.EMAIL_ACCEPT_TIMEOUT = 1
        server = threading.Thread(target=drip, args=(listening, request.param), daemon=True)
        server.start()
        yield
        server.join()


A_MAIL = of_bytes(b"Subject: hello\r\n\r\nhello\r\n")
GREETED = [b"250 slow\r\n"]
TO_ADA = [*GREETED, b"250 ok\r\n", b"250 ok\r\n"]


@pytest.mark.usefixtures("dripping")
@pytest.mark.parametrize("dripping", [GREETED], indirect=True)
def test_a_server_that_trickles_before_the_recipient_is_unavailable() -> None:
    with smtp.SmtpSession() as session, pytest.raises(smtp.ServerUnavailable):
        session.send(A_MAIL, Kept())


@pytest.mark.usefixtures("dripping")
@pytest.mark.parametrize("dripping", [TO_ADA], indirect=True)
def test_a_mail_is_not_in_doubt_if_the_server_trickles_before_it_has_it() -> None:
    with smtp.SmtpSession() as session:
        attempt = session.send(A_MAIL, Kept())

    assert attempt.ending is Ending.DROPPED


@pytest.mark.usefixtures("dripping")
@pytest.mark.parametrize("dripping", [[*TO_ADA, b"354 go on\r\n"]], indirect=True)
def test_a_mail_is_in_doubt_if_the_server_trickles_after_the_final_dot() -> None:
    with smtp.SmtpSession() as session:
        attempt = session.send(A_MAIL, Kept())

    assert attempt.ending is Ending.LOST


@pytest.mark.django_db(transaction=True)
def test_a_server_that_filters_first_has_time_after_the_final_dot(
    scripted: ScriptedServer, settings: Settings
) -> None:
    """Longer than the lease, which is renewed meanwhile: the mail is nobody else's."""
    settings.EMAIL_TIMEOUT, settings.EMAIL_ACCEPT_TIMEOUT = 1, 30
    scripted.play(dot=Answer((b"250 taken\r\n",), late=3.0))
    [intent] = subscribe("ada@example.com")

    def work() -> None:
        sending.send_due_mails(always)
        connections.close_all()

    worker = threading.Thread(target=work)
    worker.start()
    eventually(lambda: scripted.contents)
    began = time.monotonic()
    taken_over = False
    while time.monotonic() - began < 2.8:
        taken_over = taken_over or MailIntent.objects.due().exists()
        time.sleep(0.02)
    worker.join(10)

    intent.refresh_from_db()
    assert (intent.state, intent.attempts, intent.doubts) == (State.SENT, 1, 0)
    assert not taken_over
    assert len(scripted.contents) == 1


@pytest.mark.django_db
def test_a_worker_that_is_to_stop_does_not_wait_for_the_final_answer(
    scripted: ScriptedServer, settings: Settings
) -> None:
    settings.EMAIL_TIMEOUT, settings.EMAIL_ACCEPT_TIMEOUT = 1, 60
    scripted.play(dot=Answer((b"250 taken\r\n",), late=4.0))
    [intent] = subscribe("ada@example.com")
    threading.Timer(0.2, stopping.set).start()
    began = time.monotonic()
    try:
        sending.send_due_mails(always)
    finally:
        stopping.clear()

    intent.refresh_from_db()
    assert intent.state == State.UNKNOWN
    assert time.monotonic() - began < 10
