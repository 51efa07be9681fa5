from __future__ import annotations

from collections.abc import Iterator

import pytest
from access_codes.mails import sending
from access_codes.mails.outage import Outage
from access_codes.mails.sending import Sender
from admit_one.web.testing import counting_alone
from admit_one.webhooks.testing import nobody_listens
from pytest_django import Settings

from tests.api import Api
from tests.mails import scripted_server, smtp_server
from tests.mails.scripted_server import ScriptedServer
from tests.mails.smtp_server import Mailbox


@pytest.fixture
def mailbox(settings: Settings) -> Iterator[Mailbox]:
    """A mail server, set in the settings."""
    with smtp_server.running() as mailbox:
        settings.EMAIL_HOST = "127.0.0.1"
        settings.EMAIL_PORT = mailbox.port
        yield mailbox


@pytest.fixture
def scripted(settings: Settings) -> Iterator[ScriptedServer]:
    """The mail server that the settings name, with an answer for each step."""
    with scripted_server.running() as server:
        settings.EMAIL_HOST = "127.0.0.1"
        settings.EMAIL_PORT = server.port
        settings.EMAIL_CONNECTIONS = 1  # it serves one after the other
        yield server


@pytest.fixture(autouse=True)
def no_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test starts without an outage from an earlier test."""
    monkeypatch.setattr(sending, "outage", Outage())
    monkeypatch.setattr(sending, "sender", Sender())


@pytest.fixture(autouse=True)
def count_alone() -> Iterator[None]:
    nobody_listens()
    with counting_alone():
        yield


@pytest.fixture
def platform(db: None) -> Api:
    """A client of the API that asks about codes."""
    return Api("platform")
