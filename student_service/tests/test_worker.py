"""The Celery worker as a process: it starts, works, answers, and dies well."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import worker
from tests.mails import smtp_server
from tests.mails.smtp_server import Mailbox
from tests.worker import Worker, lives, running, wait_for

ISSUE = """
from shared_contracts.events import UserSubscribed
from admit_one.messaging.testing import an_envelope, deliver
deliver(*(an_envelope(UserSubscribed, email=f"user{n}@example.com") for n in range(%d)))
"""

STATES_ARE = """
from access_codes.models import MailIntent
states = sorted(MailIntent.objects.values_list("state", flat=True))
assert states == %s, states
"""


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database with all tables, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "database.sqlite3"
    manage({"DATABASE_URL": f"sqlite:///{path}"}, "migrate")
    return path


@pytest.fixture
def environment(tmp_path: Path, migrated: Path) -> dict[str, str]:
    """A service of its own: database and brokers in files of this test."""
    shutil.copy(migrated, tmp_path / "database.sqlite3")
    return {
        "DATABASE_URL": f"sqlite:///{tmp_path}/database.sqlite3",
        "BROKER_URL": f"sqlite:///{tmp_path}/broker.sqlite3",
        "TASKS_BROKER_URL": f"sqlite:///{tmp_path}/tasks.sqlite3",
    }


@pytest.fixture
def mailbox(environment: dict[str, str]) -> Iterator[Mailbox]:
    with smtp_server.running() as mailbox:
        environment["EMAIL_URL"] = f"smtp://127.0.0.1:{mailbox.port}"
        yield mailbox


def manage(environment: dict[str, str], *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=worker.HERE,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", **environment},
        check=True,
        capture_output=True,
    )


@pytest.fixture
def idle(environment: dict[str, str], mailbox: Mailbox) -> Iterator[Worker]:
    """A worker that is ready and has looked at its empty table."""
    with running(environment) as process:
        wait_for(lambda: process.ready)
        wait_for(lambda: process.children)
        yield process


def test_it_sends_mails_at_its_start_and_whenever_it_is_woken(
    environment: dict[str, str], mailbox: Mailbox
) -> None:
    its_wake_up_is_lost = {"TASKS_BROKER_URL": environment["BROKER_URL"]}
    manage({**environment, **its_wake_up_is_lost}, "shell", "-c", ISSUE % 2)
    with running(environment) as process:
        wait_for(lambda: process.ready)
        wait_for(lambda: len(mailbox.mails) == 2, seconds=5)  # a first sweep would be later

        manage(environment, "shell", "-c", ISSUE % 3)
        wait_for(lambda: len(mailbox.mails) == 5, seconds=5)  # and so would the next one

        description, *_ = (line for line in process.lines if "student_service tasks" in line)
        assert "student_service.send_pending_mails every 10 s" in description
        assert "database.sqlite3" in description


def test_it_answers_celerys_own_ping(environment: dict[str, str], idle: Worker) -> None:
    ping = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "student_service", "inspect", "ping"],
        cwd=worker.HERE,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", **environment},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "pong" in ping.stdout


def test_it_ends_at_once_when_idle(idle: Worker) -> None:
    code, seconds = idle.stop()

    assert code == 0
    assert seconds < 5


def test_it_finishes_the_mail_in_hand_before_it_ends(
    environment: dict[str, str], mailbox: Mailbox, idle: Worker
) -> None:
    mailbox.pause_at_data = 1.0
    manage(environment, "shell", "-c", ISSUE % 3)
    wait_for(lambda: mailbox.data_begun)

    code, seconds = idle.stop()

    assert code == 0
    assert seconds < 10
    assert len(mailbox.mails) == 1
    manage(environment, "shell", "-c", STATES_ARE % "['pending', 'pending', 'sent']")


def test_a_mail_that_takes_long_holds_no_other(
    environment: dict[str, str], mailbox: Mailbox, idle: Worker
) -> None:
    mailbox.pause_at_data = 1.0
    manage(environment, "shell", "-c", ISSUE % 6)
    manage(environment, "shell", "-c", ISSUE % 6)

    wait_for(lambda: mailbox.most_in_hand == 2)


def test_its_beat_dies_with_it_even_when_it_is_killed(idle: Worker) -> None:
    (beat,) = idle.children

    idle.stop(signal.SIGKILL)

    wait_for(lambda: not lives(beat), seconds=5)


@pytest.mark.parametrize("broker", ["away", "silent"])
def test_without_a_broker_it_waits_and_can_be_stopped(
    environment: dict[str, str], mailbox: Mailbox, broker: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if broker == "away":
            listener.close()
        environment["TASKS_BROKER_URL"] = f"amqp://guest:guest@127.0.0.1:{port}//"
        with running(environment) as process:
            wait_for(lambda: any("Cannot connect" in line for line in process.lines))
            wait_for(lambda: process.children)
            (beat,) = process.children

            code, seconds = process.stop()

            assert code == 0
            assert seconds < 5
            wait_for(lambda: not lives(beat), seconds=5)
            assert not any("guest:guest" in line for line in process.lines)
