"""The demo shows the whole journey, and leaves no process behind however it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import fields
from pathlib import Path

import pytest

from tools.demo.__main__ import OPERATOR, SHORT_LIFE, can_start
from tools.system.commands import PROCESSES, ROOT
from tools.system.ports import LOCAL, Ports, free_port
from tools.system.process import Process
from tools.system.process_tree import descendants, running

from .test_process import within


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared, so that only the first demo migrates the databases."""
    return tmp_path_factory.mktemp("demo")


def environment(**further: str) -> Mapping[str, str]:
    ports = {f"{field.name.upper()}_PORT": str(free_port()) for field in fields(Ports)}
    return os.environ | ports | {"NO_COLOR": "1", "COLUMNS": "80"} | further


@contextmanager
def a_demo(folder: Path, *options: str, **further: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tools.demo", "--folder", str(folder), *options]
    with subprocess.Popen(
        # As `nohup … &` starts it: a shell lets its background jobs ignore Ctrl-C.
        ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command],
        cwd=ROOT,
        env=environment(**further),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as demo:
        try:
            yield demo
        finally:
            demo.kill()


def read_until(demo: subprocess.Popen[str], ending: str) -> str:
    assert demo.stdout is not None
    read = ""
    while ending not in read:
        line = demo.stdout.readline()
        assert line, f"expected {ending!r}, got {read}"
        read += line
    return read


def steps_in(text: str) -> list[str]:
    """The steps of both journeys, without their times, which say in which order they happened."""
    return sorted(re.findall(r"^ +[\d.]+ s  (.*)$", text, re.MULTILINE))


def test_each_journey_ends_with_one_code_in_mail_and_api(folder: Path) -> None:
    with a_demo(folder, "--once") as demo:
        shown, _ = demo.communicate()

    assert demo.returncode == 0, shown
    steps = {*("accepted", "published", "code issued", "mail delivered"), "webhook"}
    steps |= {"code stored", "shown by the API"}
    hooks = ["payment: subscription.active", "payment: subscription.mailed"]
    of_a_use = ["payment: subscription.redeemed", "student: access.redeemed"]
    _, posted, paid = re.split("^POST ", shown, flags=re.MULTILINE)
    assert (posted.split()[0], paid.split()[0]) == ("/v1/subscriptions", "/v1/webhooks/stripe")
    for journey, further, heard in (
        (posted, set(), hooks),
        (paid, {"code redeemed"}, hooks + of_a_use),
    ):
        assert set(re.findall(r"^ +[\d.]+ s  (.{16})", journey, re.MULTILINE)) == {
            f"{step:<16}" for step in steps | further
        }
        assert sorted(re.findall(r"webhook +(\w+: [\w.]+), verified", journey)) == sorted(heard)
        assert re.search(r"✓ [0-9A-Z-]{19} is in the mail and in the payment API", journey)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert steps_in(shown) == steps_in(readme)
    assert max(map(len, posted.splitlines() + paid.splitlines())) <= 80
    assert max(map(len, shown.splitlines())) <= 100  # database URLs may be long
    assert "\x1b" not in shown
    assert "whsec_" not in shown
    readable = [file for file in (folder, *folder.rglob("*")) if file.stat().st_mode & 0o077]
    assert readable == [], "only their owner may read codes, keys and addresses"


@pytest.mark.parametrize(
    ("number", "exit_code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_no_process_is_left_behind(folder: Path, number: int, exit_code: int) -> None:
    with a_demo(folder) as demo:
        shown = read_until(demo, "Ctrl-C")
        pids = [int(pid) for pid in re.findall(r"ready, process (\d+)", shown)]
        family = descendants(demo.pid)

        demo.send_signal(number)
        demo.wait(30)

    # The last of the three demos has the superuser, the key and the endpoint of the first.
    for side in ("payment", "student"):
        with closing(sqlite3.connect(folder / f"{side}.sqlite3")) as database:
            names = database.execute("SELECT username FROM auth_user").fetchall()
            keys = database.execute("SELECT client FROM web_apikey").fetchall()
            endpoints = database.execute("SELECT client FROM webhooks_endpoint").fetchall()
        assert (names, keys, endpoints) == ([(OPERATOR,)], [("demo",)], [("demo",)])
    assert len(pids) == len(PROCESSES)
    assert set(pids) <= family
    assert demo.returncode == exit_code
    assert within(5, lambda: not running(family))


def test_a_process_that_is_killed_at_once_is_restarted_with_a_message(folder: Path) -> None:
    with a_demo(folder) as demo:
        shown = read_until(demo, "Ctrl-C")
        pid = re.search(r"student-relay +ready, process (\d+)", shown)
        assert pid
        os.kill(int(pid.group(1)), signal.SIGKILL)

        said = read_until(demo, "student-relay ended").splitlines()[-1]
        assert "student-relay ended (signal 9); restarting it" in said
        read_until(demo, "relay ready")


def test_only_a_process_that_never_was_ready_is_given_up_and_only_if_it_ended_soon(
    tmp_path: Path,
) -> None:
    process = Process(
        "short", [sys.executable, "-c", ""], log=tmp_path / "log", is_ready=lambda _: True
    )
    process.wait()

    assert not can_start(process)
    process.started_at -= SHORT_LIFE
    assert can_start(process)
    process.started_at += SHORT_LIFE
    process.was_ready = True
    assert can_start(process)


def test_a_taken_port_is_reported_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server((LOCAL, 0)) as somebody:
        taken = str(somebody.getsockname()[1])
        with a_demo(tmp_path, PAYMENT_PORT=taken) as demo:
            shown, _ = demo.communicate()

    assert demo.returncode == 2
    assert f"Taken by other programs: port {taken}" in shown
    assert "PAYMENT_PORT=" in shown
    assert list(tmp_path.iterdir()) == []


def test_the_demo_exits_with_the_reason_if_a_server_cannot_be_reached(tmp_path: Path) -> None:
    url = f"postgres://me:secret@{LOCAL}:{free_port()}/payment"
    with a_demo(tmp_path, PAYMENT_DATABASE_URL=url) as demo:
        shown, _ = demo.communicate()

    assert demo.returncode == 2
    assert "migrate" in shown
    assert "refused" in shown
    assert "secret" not in shown
