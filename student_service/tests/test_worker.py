"""The Celery worker as a process: it starts, sends mails, outlasts its broker and stops."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.mails import smtp_server
from tests.mails.smtp_server import Mailbox
from tests.rude_broker import rude_broker
from tools.system.eventually import eventually
from tools.system.ports import free_port
from tools.system.process import Process, says
from tools.system.process_tree import descendants, running

HERE = Path(__file__).parent.parent

CELERY = [sys.executable, "-m", "celery", "-A", "student_service"]
WITHOUT_BEAT = [*CELERY, "worker", "--pool", "threads", "--without-gossip", "--without-mingle"]
WORKER = [*WITHOUT_BEAT, "--beat"]

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
    """A migrated database, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "database.sqlite3"
    manage({"DATABASE_URL": f"sqlite:///{path}"}, "migrate")
    return path


@pytest.fixture
def environment(tmp_path: Path, migrated: Path) -> dict[str, str]:
    """A database and brokers in files of this test."""
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
        cwd=HERE,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", **environment},
        check=True,
        capture_output=True,
    )


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Start a real worker."""
    started: list[Process] = []

    def worker(*command: str) -> Process:
        process = Process(
            "student tasks",
            command or WORKER,
            log=tmp_path / "worker.log",
            is_ready=says(" tasks ready"),
            cwd=HERE,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", **environment},
        )
        started.append(process)
        return process

    yield worker
    for process in started:
        process.kill()


@pytest.fixture
def idle(mailbox: Mailbox, start: Callable[..., Process]) -> Process:
    """A worker that is ready and has nothing to do."""
    process = start().until_ready()
    eventually(lambda: descendants(process.pid))
    return process


def test_it_sends_mails_when_it_starts(
    environment: dict[str, str], mailbox: Mailbox, start: Callable[..., Process]
) -> None:
    without_wake_up = {"TASKS_BROKER_URL": environment["BROKER_URL"]}
    manage({**environment, **without_wake_up}, "shell", "-c", ISSUE % 2)
    process = start().until_ready()
    eventually(lambda: len(mailbox.mails) == 2)

    description, *_ = (line for line in process.lines if "student_service tasks" in line)
    assert "student_service.send_pending_mails every 10 s" in description
    assert "database.sqlite3" in description


def test_it_sends_mails_when_it_is_woken(
    environment: dict[str, str], mailbox: Mailbox, start: Callable[..., Process]
) -> None:
    start(*WITHOUT_BEAT).until_ready()

    manage(environment, "shell", "-c", ISSUE % 3)
    eventually(lambda: len(mailbox.mails) == 3)


def test_it_refuses_to_start_with_a_template_that_no_mail_survives(
    environment: dict[str, str], mailbox: Mailbox, start: Callable[..., Process], tmp_path: Path
) -> None:
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "code.txt").write_text("Subject: Welcome\n\nno code\n")
    environment["MAIL_TEMPLATES"] = str(tmp_path)

    process = start()

    assert process.wait() == 1
    assert any("en/code: expected the code in its text" in line for line in process.lines)


def metrics(port: int) -> str:
    return answer(port, "/metrics")


def ready(port: int) -> str:
    return answer(port, "/health/ready")


def answer(port: int, path: str) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
            return str(response.read().decode())
    except urllib.error.HTTPError as error:
        return error.read().decode()
    except OSError:
        return ""


def celery(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CELERY, *arguments],
        cwd=HERE,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_nobody_can_end_it_over_the_broker(
    environment: dict[str, str], mailbox: Mailbox, idle: Process
) -> None:
    for order in (["shutdown"], ["cancel_consumer", "student_service.wake_ups"]):
        celery(environment, "control", *order)

    manage(environment, "shell", "-c", ISSUE % 1)
    eventually(lambda: len(mailbox.mails) == 1)


def test_the_default_pool_is_this_process(
    environment: dict[str, str], mailbox: Mailbox, start: Callable[..., Process]
) -> None:
    port = free_port()
    environment["HEALTH_PORT"] = str(port)
    manage(environment, "shell", "-c", ISSUE % 1)
    start(*CELERY, "worker", "--beat", "--without-gossip", "--without-mingle").until_ready()

    eventually(lambda: 'mails_total{state="sent"} 1.0' in metrics(port))


def test_a_pool_whose_metrics_nobody_could_read_is_refused(environment: dict[str, str]) -> None:
    ended = celery(environment, "worker", "--pool", "processes")

    assert ended.returncode == 1
    assert "--pool: expected threads or solo, got prefork" in ended.stderr


@pytest.mark.parametrize(
    ("queue_is_away", "why"),
    [(False, "does not support global qos"), (True, "of durable queue 'tasks' is down")],
)
def test_a_broker_that_refuses_the_queue_is_asked_less_and_less_often_and_health_says_why(
    environment: dict[str, str],
    mailbox: Mailbox,
    start: Callable[..., Process],
    queue_is_away: bool,
    why: str,
) -> None:
    port = free_port()
    environment["HEALTH_PORT"] = str(port)
    with rude_broker(queue_is_away=queue_is_away) as broker:
        environment["TASKS_BROKER_URL"] = f"amqp://guest:guest@127.0.0.1:{broker.port}//"
        process = start()
        eventually(lambda: broker.connections >= 3, within=60)
        eventually(lambda: why in ready(port))
        time.sleep(5)

        assert broker.connections < 12
        assert process.said("student_service tasks waits: ") == 1
        assert process.stop()[0] == 0


def test_an_idle_worker_stops_at_once(idle: Process) -> None:
    code, seconds = idle.stop()

    assert code == 0
    assert seconds < 5


def test_it_finishes_the_mail_in_hand_before_it_stops(
    environment: dict[str, str], mailbox: Mailbox, idle: Process
) -> None:
    mailbox.pause_at_data = 1.8
    manage(environment, "shell", "-c", ISSUE % 3)
    eventually(lambda: mailbox.data_begun)

    code, seconds = idle.stop()

    assert code == 0
    assert seconds < 10
    sent = len(mailbox.mails)  # a slow machine may have begun the second one
    assert sent < 3
    states = ["pending"] * (3 - sent) + ["sent"] * sent
    manage(environment, "shell", "-c", STATES_ARE % states)


def test_a_slow_mail_does_not_block_the_others(
    environment: dict[str, str], mailbox: Mailbox, idle: Process
) -> None:
    mailbox.pause_at_data = 1.0
    manage(environment, "shell", "-c", ISSUE % 6)
    manage(environment, "shell", "-c", ISSUE % 6)

    eventually(lambda: mailbox.most_in_hand >= 2)


def test_its_beat_ends_with_it_even_if_it_is_killed(idle: Process) -> None:
    (beat,) = descendants(idle.pid)

    idle.stop(signal.SIGKILL)

    eventually(lambda: not running([beat]), within=5)


@pytest.mark.parametrize("broker", ["unavailable", "silent"])
def test_it_can_be_stopped_while_it_waits_for_its_broker(
    environment: dict[str, str], mailbox: Mailbox, start: Callable[..., Process], broker: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if broker == "unavailable":
            listener.close()
        environment["TASKS_BROKER_URL"] = f"amqp://guest:guest@127.0.0.1:{port}//"
        process = start().until("student_service tasks waits: ")
        [beat] = eventually(lambda: descendants(process.pid))

        code, seconds = process.stop()

        assert code == 0
        assert seconds < 5
        eventually(lambda: not running([beat]), within=5)
        assert process.said("guest:guest") == 0


def test_each_node_of_its_broker_is_tried(
    environment: dict[str, str], mailbox: Mailbox, start: Callable[[], Process]
) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as node,
        socket.create_server(("127.0.0.1", 0)) as another,
    ):
        ports = [listener.getsockname()[1] for listener in (node, another)]
        environment["TASKS_BROKER_URL"] = ";".join(
            f"amqp://worker:s3cret-{port}@127.0.0.1:{port}//" for port in ports
        )
        process = start()
        for listener in (node, another):
            listener.settimeout(60)
            listener.accept()[0].close()

    assert not any(f"s3cret-{port}" in line for port in ports for line in process.lines)


COMMANDS = {
    "worker": WORKER,
    "relay": [sys.executable, "manage.py", "relay_outbox"],
    "consumer": [sys.executable, "manage.py", "consume_events"],
    "web": [sys.executable, "manage.py", "serve_web", "--port", "0"],
    "command": [sys.executable, "manage.py", "set_aside", "list"],
}
FIRST_OF_A_CONTAINER = ["unshare", "--pid", "--fork"]


def can_unshare() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*FIRST_OF_A_CONTAINER, "true"], check=False).returncode == 0


@pytest.mark.skipif(not can_unshare(), reason="needs the right to make a PID namespace")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_signal_at_any_time_ends_the_first_process_of_a_container(
    environment: dict[str, str], mailbox: Mailbox, command: str, number: signal.Signals
) -> None:
    with subprocess.Popen(
        [*FIRST_OF_A_CONTAINER, "--kill-child", *COMMANDS[command]],
        cwd=HERE,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as unshare:
        try:
            first = min(eventually(lambda: descendants(unshare.pid)))
            for _ in range(60):  # of 50 ms
                with suppress(ProcessLookupError):
                    os.kill(first, number)
                time.sleep(0.05)
            printed, _ = unshare.communicate(timeout=10)
        finally:
            unshare.kill()

    # SIGINT before the first line of ours is Python's own, which shows where it was.
    assert b"Traceback" not in printed or number == signal.SIGINT


@pytest.mark.parametrize("command", ["worker", "relay", "consumer"])
def test_ctrl_c_ends_a_process_that_a_shell_started_in_the_background(
    environment: dict[str, str], mailbox: Mailbox, command: str
) -> None:
    with subprocess.Popen(
        COMMANDS[command],
        cwd=HERE,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),  # noqa: PLW1509
    ) as process:
        try:
            assert process.stdout is not None
            while b" ready" not in (line := process.stdout.readline()):
                assert line, "expected it to become ready"
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=10)
        finally:
            process.kill()


INTERRUPTED = """
import os, signal, sys, time
from admit_one.processes import command_line

class Interrupted:
    def find_spec(self, name, *_):
        if name == "django.core.management":
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(10)

sys.meta_path.insert(0, Interrupted())
command_line.run("tests.settings")
"""


def test_ctrl_c_while_a_command_imports_its_libraries_ends_it_without_a_traceback() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], check=False, capture_output=True, timeout=60
    )

    assert (ended.returncode, ended.stderr) == (128 + signal.SIGINT, b"")
