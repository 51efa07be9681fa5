"""Each service gets only its own settings and keys, and processes start and stop in order."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.system import migrations
from tools.system.backends import Backends
from tools.system.commands import PROCESSES, command, role_of
from tools.system.keys import kept_keys, new_keys, public
from tools.system.ports import Ports
from tools.system.process import NotReady
from tools.system.system import System


def test_no_service_gets_a_key_of_the_other(tmp_path: Path) -> None:
    keys = new_keys()
    system = System(tmp_path, Backends.embedded(tmp_path), keys=keys)
    payment = set(system.environment("payment_service").values())
    student = set(system.environment("student_service").values())

    assert not payment & set(keys["student_service"].values())
    assert not student & set(keys["payment_service"].values())
    assert "EMAIL_URL" not in system.environment("payment_service")


def test_processes_do_not_inherit_secrets_from_our_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_TOKEN", "secret")
    system = System(tmp_path, Backends.embedded(tmp_path))

    assert "SOME_TOKEN" not in system.environment("payment_service")


def test_keys_are_created_once_and_only_their_owner_can_read_them(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    first = kept_keys(path)

    assert kept_keys(path) == first
    assert path.stat().st_mode & 0o777 == 0o600


def test_keys_of_an_earlier_version_are_kept_and_the_missing_ones_added(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    earlier = {
        service: {name: own[name] for name in ("SECRET_KEY", "SEALING_KEYS")}
        for service, own in new_keys().items()
    }
    path.write_text(json.dumps(earlier))

    keys = kept_keys(path)

    assert {service: own | earlier[service] for service, own in keys.items()} == keys
    [payment, student] = (keys[service]["WIRE_KEYS"] for service in earlier)
    assert keys["payment_service"]["PEER_KEYS"].endswith(public(student.partition(":")[2]))
    assert keys["student_service"]["PEER_KEYS"].endswith(public(payment.partition(":")[2]))


def test_two_instances_of_a_process_have_the_same_command() -> None:
    ports = Ports.free()
    for name in PROCESSES:
        first, second = (command(each, ports, Path("mails")) for each in (name, f"{name}#2"))

        assert first.arguments == second.arguments
        assert role_of(name) == role_of(f"{name}#2")


def test_an_unknown_process_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        ValueError, match="web, relay, consumer, tasks, operators; got 'payment-worker'"
    ):
        command("payment-worker", Ports.free(), Path("mails"))


def test_a_process_that_cannot_start_is_reported_with_its_last_lines(tmp_path: Path) -> None:
    broken = {"payment_service": {"SEALING_KEYS": "not a key"}}
    with System(tmp_path, Backends.embedded(tmp_path), settings=broken) as system:
        system.start("payment-relay")

        with pytest.raises(NotReady, match=r"payment-relay \| .*SEALING_KEYS: expected"):
            system.wait_ready()


def test_the_mail_catcher_is_started_and_stopped_in_order(tmp_path: Path) -> None:
    with System(tmp_path, Backends.embedded(tmp_path)) as system:
        system.start("mail")
        system.wait_ready("mail")
        process = system.process("mail")

    assert process.exit_code == 0


def test_an_up_to_date_sqlite_database_is_recognised(tmp_path: Path) -> None:
    url = Backends.embedded(tmp_path).payment_database_url
    (tmp_path / "payment.sqlite3").touch()
    before = migrations.are_applied(tmp_path, "payment_service", "settings", url)
    migrations.note_applied(tmp_path, "payment_service", "settings")

    assert not before
    assert migrations.are_applied(tmp_path, "payment_service", "settings", url)


def test_a_database_that_was_removed_is_not_up_to_date(tmp_path: Path) -> None:
    url = Backends.embedded(tmp_path).payment_database_url
    migrations.note_applied(tmp_path, "payment_service", "settings")

    assert not migrations.are_applied(tmp_path, "payment_service", "settings", url)


def test_a_database_on_a_server_is_always_migrated(tmp_path: Path) -> None:
    migrations.note_applied(tmp_path, "payment_service", "settings")

    assert not migrations.are_applied(
        tmp_path, "payment_service", "settings", "postgres://host/payment"
    )
