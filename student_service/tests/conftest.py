from __future__ import annotations

from collections.abc import Iterator

import pytest
from access_codes.mails import sending
from access_codes.mails.outage import Outage
from pytest_django import Settings

from tests.mails import smtp_server
from tests.mails.smtp_server import Mailbox


@pytest.fixture
def mailbox(settings: Settings) -> Iterator[Mailbox]:
    """The mail server that the settings name."""
    with smtp_server.running() as mailbox:
        settings.EMAIL_HOST = "127.0.0.1"
        settings.EMAIL_PORT = mailbox.port
        yield mailbox


@pytest.fixture(autouse=True)
def no_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test meets the mail server for the first time."""
    monkeypatch.setattr(sending, "outage", Outage())
