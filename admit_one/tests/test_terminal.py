"""A command's terminal is nobody else's trouble: any encoding, any pipe, nobody who reads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from admit_one.contract.errors import Transient

from tests.processes import ROOT, database_url
from tests.set_aside_rows import keep

pytestmark = pytest.mark.django_db(transaction=True)

COMMANDS = {
    "set_aside list": 0,
    "why 019b7c5e-29f8-7b52-8a41-0c9d3e7f2a10": 2,
    "prune_messages --dry-run": 0,
    "rotate_keys --dry-run": 0,
    "declare_topology --dry-run": 0,
    "broker_doctor": 2,
    "set_aside --help": 0,
}
"""Commands, and the exit code of each when somebody reads what it prints."""

every_command = pytest.mark.parametrize("command", COMMANDS)


MANAGE = "-c 'from admit_one.processes.command_line import run; run(\"tests.settings\")'"


def ran(
    command: str, shell: str = "", program: str = "-m django", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """Run `manage.py command`, followed by what the shell does with its output."""
    return subprocess.run(
        ["bash", "-c", f"'{sys.executable}' {program} {command} {shell}"],
        check=False,
        capture_output=True,
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "DATABASE_URL": database_url(),
            "TEST_BROKER_URL": "amqp://nobody:hunter2-hunter2@127.0.0.1:1//",
            **environment,
        },
    )


@pytest.fixture(autouse=True)
def something_to_print():
    keep(2, error=Transient("no room for → Ünï " + "x" * 500))


@every_command
@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LANG": "C", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    ],
    ids=str,
)
def test_a_command_prints_in_any_encoding(command, environment):
    ended = ran(command, **environment)

    assert ended.returncode == COMMANDS[command]
    assert b"Traceback" not in ended.stderr
    assert b"codec" not in ended.stdout + ended.stderr
    assert b"hunter2" not in ended.stdout + ended.stderr


@every_command
@pytest.mark.parametrize("reader", ["| head -1", "| true", ">&-", "2>&-", ">&- 2>&-"])
def test_a_command_ends_quietly_when_nobody_reads(command, reader):
    ended = ran(command, reader, PYTHONUNBUFFERED="1")

    complaints = ended.stderr.replace(b"CommandError: the broker is unavailable", b"")
    assert b"Traceback" not in complaints
    assert b"Broken pipe" not in complaints
    assert b"Exception ignored" not in complaints


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_cannot_be_written_is_reported_as_that(unbuffered):
    ended = ran("set_aside list", "> /dev/full", PYTHONUNBUFFERED=unbuffered)

    assert ended.returncode == 1
    assert ended.stderr == b"the output cannot be written: No space left on device\n"


def test_an_error_of_a_command_is_masked():
    ended = ran("failing", BROKER_PREFIX="hunter2-hunter2")

    assert ended.returncode == 1
    assert b"hunter2" not in ended.stdout + ended.stderr
    assert ended.stderr == b"CommandError: login *** refused for a\xe2\x80\xa6@e\xe2\x80\xa6.com\n"


def test_an_error_that_no_command_catches_is_masked():
    ended = ran("failing --unexpected")

    assert ended.returncode == 1
    assert b"hunter2" not in ended.stdout + ended.stderr
    assert b"ValueError: login *** refused for" in ended.stderr


@pytest.mark.parametrize("command", ["help", "showmigrations", "set_aside --help"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_command_of_django_ends_quietly_when_nobody_reads(command, unbuffered):
    def ran_by_manage_py(end: str) -> subprocess.CompletedProcess[bytes]:
        return ran(command, end, program=MANAGE, PYTHONUNBUFFERED=unbuffered)

    piped = ran_by_manage_py("| true; exit ${PIPESTATUS[0]}")
    full = ran_by_manage_py("> /dev/full")
    closed = ran_by_manage_py(">&- 2>&-")

    assert (piped.returncode, full.returncode, closed.returncode) == (128 + signal.SIGPIPE, 1, 0)
    assert full.stderr.endswith(b"the output cannot be written: No space left on device\n")
    for complaint in (b"Traceback", b"Broken pipe", b"Exception ignored"):
        assert complaint not in piped.stderr + full.stderr
