"""Ports: a taken one is reported in time, with what to do."""

from __future__ import annotations

import socket
import subprocess
import sys
from dataclasses import fields

import pytest

from tools.system.commands import ROOT
from tools.system.ports import (
    BLOCK,
    BLOCKS,
    LOCAL,
    OPERATORS_PORTS,
    Ports,
    PortTaken,
    free_port,
)


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


def test_what_two_processes_get_never_meets() -> None:
    ask = (
        "from tools.system.ports import free_port; "
        f"print(*(free_port() for _ in range({BLOCK * 2})))"
    )
    other = subprocess.run(
        [sys.executable, "-c", ask], cwd=ROOT, check=True, capture_output=True, text=True
    )

    theirs = {int(port) for port in other.stdout.split()}
    ours = {free_port() for _ in range(BLOCK * 2)}

    assert theirs
    assert not theirs & ours


def test_a_port_given_back_is_not_the_next_to_be_given_out() -> None:
    given = [free_port() for _ in range(BLOCK // 2)]

    assert len(set(given)) == len(given)


def test_a_port_of_somebody_else_is_passed_over() -> None:
    around = [free_port() for _ in range(BLOCK)]
    taken = around[1]

    with socket.create_server((LOCAL, taken)):
        assert taken not in [free_port() for _ in range(BLOCK)]


def test_what_the_system_gives_out_by_itself_is_not_ours() -> None:
    ours = range(BLOCKS.start, BLOCKS.stop)

    with socket.create_server((LOCAL, 0)) as any_port:
        assert any_port.getsockname()[1] not in ours
