"""Requests go to the internet only, and to the address that was checked."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import Any

import pytest

from tests.webhooks.receiver import Receiver
from tests.webhooks.steps import an_endpoint, happen, send, the_delivery

pytestmark = pytest.mark.django_db(transaction=True)

NOT_OF_THE_INTERNET = "the host has no address, or one that is not of the internet"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "0x7f.1", "2130706433", "0177.0.0.1", "[::1]"]
)
def test_no_request_reaches_this_machine(receiver: Receiver, settings: Any, host: str) -> None:
    an_endpoint(receiver.url(host))
    settings.WEBHOOK_ALLOWED_NETWORKS = ()
    happen()
    send()

    assert receiver.requests == []
    assert the_delivery().last_error == NOT_OF_THE_INTERNET


def resolve(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Answer each look-up in turn with these addresses; returns what was looked up."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        addresses = answers[min(len(asked), len(answers)) - 1]
        return [
            (socket.AF_INET6 if ":" in each else socket.AF_INET, socket.SOCK_STREAM, 6, "", (each,))
            for each in addresses
        ]

    # A resolver that answers with two different things at will cannot be had on this machine.
    real = socket.getaddrinfo

    def ours(host: str, port: int, *a: Any, **k: Any) -> list[Any]:
        return getaddrinfo(host, port) if host.endswith(".example") else real(host, port, *a, **k)

    monkeypatch.setattr(socket, "getaddrinfo", ours)
    return asked


def test_a_name_is_resolved_once_and_that_address_is_used(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second look-up would lead elsewhere (DNS rebinding)."""
    asked = resolve(monkeypatch, ["127.0.0.1"], ["10.0.0.1"])
    an_endpoint(receiver.url("shop.example"))
    happen()
    send()

    assert asked == ["shop.example"]
    [request] = receiver.requests
    assert request.headers["host"] == f"shop.example:{receiver.port}"


@pytest.mark.parametrize(
    "addresses", [["10.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::ffff:10.0.0.1"], ["fe80::1%eth0"]]
)
def test_one_hidden_address_of_a_name_is_enough_to_refuse_it(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    resolve(monkeypatch, addresses)
    an_endpoint("https://shop.example/")
    happen()
    send()

    assert the_delivery().last_error == NOT_OF_THE_INTERNET


def test_of_two_addresses_the_one_that_answers_is_used(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve(monkeypatch, ["127.0.0.2", "127.0.0.1"])
    an_endpoint(receiver.url("shop.example"))
    happen()
    send()

    assert the_delivery().state == "delivered"


def test_a_name_that_does_not_exist_fails_like_one_inside() -> None:
    an_endpoint("https://nothing.invalid/")
    happen()
    send()

    assert the_delivery().last_error == NOT_OF_THE_INTERNET


def test_tls_is_checked_for_the_name_whatever_the_address(
    start: Callable[..., Receiver],
    certified: Callable[..., ssl.SSLContext],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolve(monkeypatch, ["127.0.0.1"])
    right = start(certified("shop.example"))
    an_endpoint(right.url("shop.example"))
    happen()
    send()

    assert the_delivery().state == "delivered"
    assert right.requests[0].headers["host"] == f"shop.example:{right.port}"


@pytest.mark.parametrize(
    "wrong",
    [
        ("other.example", "its certificate is not valid: Hostname mismatch"),
        ("127.0.0.1", "its certificate is not valid: Hostname mismatch"),
        ("shop.example", "its certificate is not valid: self-signed certificate"),
    ],
)
def test_a_wrong_certificate_gets_no_webhook(
    start: Callable[..., Receiver],
    certified: Callable[..., ssl.SSLContext],
    monkeypatch: pytest.MonkeyPatch,
    wrong: tuple[str, str],
) -> None:
    name, error = wrong
    resolve(monkeypatch, ["127.0.0.1"])
    receiver = start(certified(name, trusted=name != "shop.example"))
    an_endpoint(receiver.url("shop.example"))
    happen()
    send()

    assert receiver.requests == []
    assert the_delivery().last_error.startswith(error)
