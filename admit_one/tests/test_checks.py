"""`manage.py check` fails when topology, table of handlers and settings do not fit together."""

from __future__ import annotations

import dataclasses

import pytest
from admit_one.messaging import checks, conf
from django.apps import apps

from admit_one import masking
from tests import handlers
from tests.contract import topology
from tests.contract.events import AccessCodeCreated, UserSubscribed


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


@pytest.mark.parametrize(
    "handlers_given",
    [["handle"], {"user_subscribed": print}, {UserSubscribed: "handle"}, {UserSubscribed: None}],
    ids=str,
)
def test_an_invalid_table_of_handlers_is_named(monkeypatch, handlers_given):
    monkeypatch.setattr(handlers, "HANDLERS", handlers_given)
    conf.handlers.cache_clear()

    [error] = checks.bound_is_handled()

    assert error.id == "messaging.E014"
    assert "tests.handlers.HANDLERS: expected" in error.msg


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
        ({"SERVICE": "library_service"}, ["messaging.E001"]),
        ({"COLOUR": "red"}, ["messaging.E001"]),
        ({"BROKER_URL": ""}, ["messaging.E001"]),
        ({"BROKER_URL": "rabbit://host"}, ["messaging.E001"]),
        ({"BROKER_URL": "amqp://user:hunter2#2@host"}, ["messaging.E001"]),
        ({"INBOX_DAYS": 45}, ["messaging.E003"]),
        ({"INBOX_DAYS": 46, "RETRY_DELAYS": (5, 86_400)}, ["messaging.E003"]),
        ({"INBOX_DAYS": 46, "RETRY_DELAYS": (5, 600)}, []),
        ({"INBOX_DAYS": 60, "SET_ASIDE_DAYS": 60}, ["messaging.E003"]),
        ({"SIGNED_DAYS": 45}, ["messaging.E017"]),
        ({"SIGNED_DAYS": 0}, ["messaging.E004"]),
        ({"RETRY_DELAYS": ()}, ["messaging.E004"]),
        ({"RETRY_DELAYS": "5,30"}, ["messaging.E004"]),
        ({"RETRY_DELAYS": (5, -1)}, ["messaging.E004"]),
        ({"PREFETCH": 0}, ["messaging.E004"]),
        ({"PREFETCH": "500"}, ["messaging.E004"]),
        ({"RELAY_BATCH": 0, "OUTBOX_DAYS": True}, ["messaging.E004"] * 2),
        ({"CONFIRM_TIMEOUT": 0}, ["messaging.E004"]),
        ({"CONFIRM_TIMEOUT": 60}, ["messaging.E004"]),
        ({"HEALTH_PORT": 65_536}, ["messaging.E004"]),
        ({"BROKER_PREFIX": "x" * 141}, ["messaging.E004"]),
        ({"BROKER_PREFIX": None}, ["messaging.E004"]),
    ],
    ids=str,
)
def test_invalid_settings_are_reported(messaging, changes, expected):
    messaging(**changes)

    assert found() == expected


def test_a_missing_setting_is_named(settings):
    settings.MESSAGING = {"SERVICE": "student_service"}

    [error] = checks.settings_are_usable()

    assert error.msg == "MESSAGING: expected also CONTRACT, WIRING"


def test_missing_settings_are_named(settings):
    del settings.MESSAGING

    [error] = checks.settings_are_usable()

    assert error.msg == "MESSAGING: expected also CONTRACT, SERVICE, WIRING"


def test_an_invalid_broker_url_is_refused_without_its_password(messaging):
    messaging(BROKER_URL="amqp://user:hun#ter2@host")

    [error] = checks.settings_are_usable()

    assert "MESSAGING BROKER_URL: expected amqp://" in error.msg
    assert "hun" not in error.msg


def test_a_default_broker_outside_development_is_warned_about(monkeypatch, settings):
    settings.MESSAGING = {"CONTRACT": "tests.contract"}
    monkeypatch.delenv("BROKER_URL", raising=False)

    [warning] = checks.broker_is_named()

    assert warning.msg.startswith("BROKER_URL is set neither in MESSAGING nor in the environment")
    settings.DEBUG = True
    assert checks.broker_is_named() == []
    settings.DEBUG = False
    monkeypatch.setenv("BROKER_URL", "amqp://broker//")
    assert checks.broker_is_named() == []


@pytest.mark.parametrize("app", ["admit_one.acts", "admit_one.sealing"])
def test_an_app_that_is_not_installed_is_named(monkeypatch, app):
    monkeypatch.setattr(apps, "is_installed", lambda name: name != app)

    [error] = checks.what_it_needs_is_installed()

    assert error.msg == f"INSTALLED_APPS: expected also '{app}'"


def test_times_without_a_zone_are_refused(settings):
    assert checks.times_have_a_zone() == []
    settings.USE_TZ = False

    [error] = checks.times_have_a_zone()

    assert error.id == "messaging.E007"


class SendsElsewhere:
    """A database router for one app, with a replica or with a database of its own."""

    def __init__(self, label: str, *, reads_only: bool):
        self.label, self.reads_only = label, reads_only

    def db_for_read(self, model, **_):
        return "other" if model._meta.app_label == self.label else None

    def db_for_write(self, model, **hints):
        return None if self.reads_only else self.db_for_read(model)


@pytest.mark.parametrize("reads_only", [False, True], ids=["own database", "replica"])
@pytest.mark.parametrize("label", ["acts", "messaging", "sealing"])
def test_a_table_that_a_router_sends_to_another_database_is_named(settings, label, reads_only):
    settings.DATABASE_ROUTERS = [SendsElsewhere(label, reads_only=reads_only)]

    [error] = checks.tables_are_in_the_default_database()

    assert error.id == "messaging.E006"
    assert f"expected the tables of 'admit_one.{label}' in 'default', got other" in error.msg


def test_a_router_may_send_tables_of_the_service_to_another_database(settings):
    settings.DATABASE_ROUTERS = [SendsElsewhere("tests", reads_only=False)]

    assert checks.tables_are_in_the_default_database() == []


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
    assert f"has {name}, which nothing uses" in error.msg


def test_the_wiring_may_contain_other_constants(monkeypatch):
    monkeypatch.setattr(handlers, "CODE_PURPOSE", "code", raising=False)

    assert found() == []
