"""The web process: its start-up line, its threads, and its stop."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from admit_one.web_process.server import LIVE
from django.db import connection

from tests.web_process.steps import GET_LIVE, GOOD, no_writes, post
from tools.system.commands import ROOT
from tools.system.eventually import eventually
from tools.system.process_tree import descendants
from tools.system.web_process import CONNECTIONS, WebProcess, running

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_first_line_names_the_service_its_address_and_its_database(web: WebProcess) -> None:
    first = web.process.lines[0]

    assert f"payment_service web: serves http://127.0.0.1:{web.port}; database" in first


def test_there_is_one_process_without_children(web: WebProcess) -> None:
    assert descendants(web.process.pid) == set()


def test_no_header_names_the_server_software(web: WebProcess) -> None:
    assert "Server" not in web.get(LIVE).headers


def test_requests_share_a_few_database_connections(web: WebProcess, key: str) -> None:
    def subscribe(_: int) -> int:
        client = web.client().send(post(key), GOOD)
        status = client.answer().status
        client.close()
        return status

    with ThreadPoolExecutor(CONNECTIONS // 2) as clients:
        statuses = set(clients.map(subscribe, range(40)))

    assert statuses == {202}
    # One for each thread, and one each for those that share counts and wake the relay.
    assert 1 <= connections_of(web) <= (4 if connection.vendor == "postgresql" else 1) + 2


def connections_of(web: WebProcess) -> int:
    """The number of database connections of the web process."""
    if connection.vendor == "sqlite":
        files = Path(f"/proc/{web.process.pid}/fd").iterdir()
        return [str(file.readlink()) for file in files].count(connection.settings_dict["NAME"])
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return int(cursor.fetchone()[0])


def test_an_idle_process_stops_at_once_and_closes_its_connections(key: str) -> None:
    with running() as web:
        kept = web.client().send(GET_LIVE)
        assert kept.answer().status == 200

        web.process.signal(signal.SIGTERM)

        assert web.process.wait(5) == 0
        assert kept.is_closed()


def test_a_busy_process_answers_its_requests_before_it_stops(key: str) -> None:
    with running() as web:
        with no_writes():
            client = web.client().send(post(key), GOOD)
            eventually(lambda: web.get(LIVE).status == 200)  # so the POST has been read

            web.process.signal(signal.SIGTERM)
            eventually(lambda: is_refused(web))  # it no longer listens
        answer = client.answer()

        assert answer.status == 202
        assert web.process.wait(10) == 0


def is_refused(web: WebProcess) -> bool:
    try:
        web.client().close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_port_that_is_taken_is_reported_in_one_line(web: WebProcess) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "serve_web", "--port", str(web.port)],
        cwd=ROOT / "payment_service",
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert f"--port: expected a free port of 127.0.0.1, got {web.port}" in done.stderr
    assert "Traceback" not in done.stderr
