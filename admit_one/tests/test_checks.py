"""`manage.py check` fails when topology, table of handlers and settings do not fit together."""

from __future__ import annotations

import dataclasses

import pytest
from admit_one.messaging import checks, conf
from shared_contracts.events import AccessCodeCreated, UserSubscribed

from admit_one import masking
from shared_contracts import topology
from tests import handlers


def forget() -> None:
    """Let the settings be read again, with what a test has changed."""
    conf.current.cache_clear()
    conf.handlers.cache_clear()


@pytest.fixture(autouse=True)
def one_event_bound(monkeypatch):
    """However many events the service handles in earnest."""
    student = dataclasses.replace(topology.STUDENT, handles=(UserSubscribed,))
    monkeypatch.setitem(topology.TOPOLOGY._services, "student_service", student)
    monkeypatch.setattr(handlers, "HANDLERS", {UserSubscribed: handlers.handle})
    forget()
    yield
    monkeypatch.undo()
    forget()


@pytest.fixture
def table(monkeypatch):
    def put(**by_name):
        classes = {"user_subscribed": UserSubscribed, "access_code_created": AccessCodeCreated}
        table = {classes[name]: handler for name, handler in by_name.items()}
        monkeypatch.setattr(handlers, "HANDLERS", table)
        conf.handlers.cache_clear()

    yield put
    monkeypatch.undo()
    conf.handlers.cache_clear()


def found() -> list[str]:
    return [
        m.id or ""
        for check in (checks.settings_are_usable, checks.bound_is_handled)
        for m in check()
    ]


def test_a_service_that_handles_its_bound_events_passes():
    assert found() == []


def test_a_bound_event_without_a_handler_is_named(table):
    table()

    [error] = checks.bound_is_handled()

    assert error.id == "messaging.E011"
    assert "user_subscribed is bound to the inbox of student_service" in error.msg


def test_a_handled_event_without_a_binding_is_named(table):
    table(user_subscribed=print, access_code_created=print)

    [error] = checks.bound_is_handled()

    assert error.id == "messaging.E012"
    assert "AccessCodeCreated" in (error.hint or "")


def test_an_event_added_to_the_topology_requires_a_handler(monkeypatch):
    both = dataclasses.replace(topology.STUDENT, handles=(UserSubscribed, AccessCodeCreated))
    monkeypatch.setitem(topology.TOPOLOGY._services, "student_service", both)
    forget()

    assert found() == ["messaging.E011"]


def test_a_wiring_that_cannot_be_imported_is_reported(messaging):
    messaging(WIRING="tests.nowhere")

    assert found() == ["messaging.E010"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"SERVICE": "library_service"}, ["messaging.E001", "messaging.E010"]),
        ({"COLOUR": "red"}, ["messaging.E001", "messaging.E010"]),
        ({"INBOX_DAYS": 45}, ["messaging.E003"]),
        ({"INBOX_DAYS": 46, "RETRY_DELAYS": (5, 86_400)}, ["messaging.E003"]),
        ({"INBOX_DAYS": 46, "RETRY_DELAYS": (5, 600)}, []),
        ({"INBOX_DAYS": 60, "SET_ASIDE_DAYS": 60}, ["messaging.E003"]),
        ({"RETRY_DELAYS": ()}, ["messaging.E004"]),
    ],
    ids=str,
)
def test_impossible_settings_are_reported(messaging, changes, expected):
    messaging(**changes)

    assert found() == expected


def test_a_missing_setting_is_named(settings):
    settings.MESSAGING = {"SERVICE": "student_service"}

    [error] = checks.settings_are_usable()

    assert "CONTRACT" in error.msg


@pytest.mark.parametrize(
    ("contract", "says"),
    [("nowhere", "expected a package with topology.py"), ("tests", "expected a package with")],
)
def test_an_invalid_contract_package_is_named(messaging, contract, says):
    messaging(CONTRACT=contract)

    [error] = checks.settings_are_usable()

    assert f"MESSAGING CONTRACT: {contract}: {says}" in error.msg


def test_the_password_of_the_broker_is_masked_without_an_environment(messaging):
    messaging(BROKER_URL="amqp://us:c0rrect-h0rse@127.0.0.1//")
    conf.current()

    assert masking.mask("refused c0rrect-h0rse") == "refused ***"


@pytest.mark.parametrize("name", ["KEYRINGS", "KEY_RING", "ONDEAD", "SCHEDULES", "TIMELINES"])
def test_a_misspelled_name_in_the_wiring_is_named(monkeypatch, name):
    monkeypatch.setattr(handlers, name, (), raising=False)

    [error] = checks.bound_is_handled()

    assert error.id == "messaging.E013"
    assert f"has {name}, which nothing reads" in error.msg


def test_a_constant_of_the_services_own_may_stand_in_the_wiring(monkeypatch):
    monkeypatch.setattr(handlers, "CODE_PURPOSE", "code", raising=False)

    assert found() == []
