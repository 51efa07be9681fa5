"""A mail server whose name has several addresses, of which some are dead."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from access_codes.mails import smtp
from pytest_django import Settings

from tests.mails.scripted_server import ScriptedServer

GOOD = "127.0.0.1"
DEAD = [f"127.0.0.{n}" for n in range(2, 6)]


@pytest.fixture(params=["drop packets", "are silent"])
def dead(
    scripted: ScriptedServer, settings: Settings, request: pytest.FixtureRequest
) -> Iterator[str]:
    """Listen on the dead addresses, and accept nothing there."""
    settings.EMAIL_HOST, settings.EMAIL_TIMEOUT = "mail.shop.example", 1
    backlog = {"drop packets": 0, "are silent": 100}[request.param]
    with ExitStack() as open_until_then:
        for address in DEAD:
            listening = socket.create_server((address, scripted.port), backlog=backlog)
            open_until_then.enter_context(listening)
            for _ in range(0 if backlog else 3):
                waiting = open_until_then.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex((address, scripted.port))
        yield request.param


def resolve_to(monkeypatch: pytest.MonkeyPatch, addresses: list[str]) -> None:
    real = socket.getaddrinfo

    def resolve(host: str, *args: int, **kwargs: int) -> list[object]:
        names = addresses if host == "mail.shop.example" else [host]
        return [entry for name in names for entry in real(name, *args, **kwargs)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


def test_all_addresses_together_have_the_time_of_one(
    dead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_to(monkeypatch, DEAD)
    began = time.monotonic()

    with pytest.raises(smtp.ServerUnavailable):
        smtp.SmtpSession()

    assert time.monotonic() - began < 2.5


def test_a_dead_address_does_not_stop_the_mails(dead: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even one that takes connections: each session begins with any of the addresses."""
    resolve_to(monkeypatch, [DEAD[0], GOOD])
    for _ in range(30):
        try:
            with smtp.SmtpSession():
                return
        except smtp.ServerUnavailable:
            continue

    pytest.fail("every session began with the dead address")
