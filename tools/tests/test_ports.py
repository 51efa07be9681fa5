"""Taken ports are reported, and free ports are not given out twice."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from dataclasses import fields
from urllib.request import proxy_bypass

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
    use_no_proxy_here,
)


@pytest.fixture(autouse=True)
def free_ports_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in fields(Ports):
        monkeypatch.setenv(f"{field.name.upper()}_PORT", str(free_port()))


def test_taken_ports_are_reported_with_a_command_that_takes_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server((LOCAL, 0)) as one, socket.create_server((LOCAL, 0)) as another:
        mail, smtp = one.getsockname()[1], another.getsockname()[1]
        monkeypatch.setenv("MAIL_PORT", str(mail))
        monkeypatch.setenv("SMTP_PORT", str(smtp))
        with pytest.raises(PortTaken) as failure:
            Ports.from_environment()

    assert re.fullmatch(
        rf"Taken by other programs: port {smtp}, {mail}\. Choose others, for example: "
        r"SMTP_PORT=\d+ MAIL_PORT=\d+ make demo",
        str(failure.value),
    )


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
def test_an_invalid_port_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SMTP_PORT", value)

    with pytest.raises(ValueError, match="SMTP_PORT: expected a port from 1 to 65535"):
        Ports.from_environment()


def test_two_processes_never_get_the_same_port() -> None:
    script = (
        "from tools.system.ports import free_port; "
        f"print(*(free_port() for _ in range({BLOCK * 2})))"
    )
    other = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True
    )

    theirs = {int(port) for port in other.stdout.split()}
    ours = {free_port() for _ in range(BLOCK * 2)}

    assert theirs
    assert not theirs & ours


def test_a_freed_port_is_not_the_next_to_be_given_out() -> None:
    given = [free_port() for _ in range(BLOCK // 2)]

    assert len(set(given)) == len(given)


def test_a_taken_port_is_skipped() -> None:
    taken = [free_port() for _ in range(BLOCK)][1]

    with socket.create_server((LOCAL, taken)):
        assert taken not in [free_port() for _ in range(BLOCK)]


def test_ephemeral_ports_are_not_in_our_blocks() -> None:
    ours = range(BLOCKS.start, BLOCKS.stop)

    with socket.create_server((LOCAL, 0)) as any_port:
        assert any_port.getsockname()[1] not in ours


def test_a_proxy_is_not_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "intranet.example")
    monkeypatch.setenv("NO_PROXY", "")
    use_no_proxy_here()

    passed = {host: proxy_bypass(host) for host in (LOCAL, "intranet.example", "pypi.example")}
    assert {host: bool(yes) for host, yes in passed.items()} == {
        LOCAL: True,
        "intranet.example": True,
        "pypi.example": False,
    }
