"""Ports: a taken one is said in time, with what to do."""

from __future__ import annotations

import socket
from dataclasses import fields

import pytest

from tools.ports import LOCAL, OPERATORS_PORTS, Ports, PortTaken, free_port


@pytest.fixture(autouse=True)
def free_ports_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in fields(Ports):
        monkeypatch.setenv(f"{field.name.upper()}_PORT", str(free_port()))


def test_a_taken_port_is_named_with_the_variable_that_chooses_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server((LOCAL, 0)) as somebody:
        taken = somebody.getsockname()[1]
        monkeypatch.setenv("MAIL_PORT", str(taken))

        with pytest.raises(PortTaken, match=rf"{taken} is taken(?s:.*)MAIL_PORT=\d+ make demo"):
            Ports.from_environment()


def test_ports_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("PAYMENT_PORT", str(port))

    assert Ports.from_environment().payment == port


def test_a_port_that_is_not_needed_may_be_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((LOCAL, 0)) as somebody:
        taken = somebody.getsockname()[1]
        monkeypatch.setenv("PAYMENT_OPERATORS_PORT", str(taken))

        with pytest.raises(PortTaken, match="PAYMENT_OPERATORS_PORT"):
            Ports.from_environment()
        assert Ports.from_environment(but=OPERATORS_PORTS)


@pytest.mark.parametrize("value", ["0", "65536", "http", "-1"])
def test_what_is_no_port_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SMTP_PORT", value)

    with pytest.raises(ValueError, match="SMTP_PORT: expected a port from 1 to 65535"):
        Ports.from_environment()
