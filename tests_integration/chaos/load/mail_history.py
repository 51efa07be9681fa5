"""Reads mails during the run: at its end there are too many for one request."""

from __future__ import annotations

import threading
from contextlib import suppress
from http.client import HTTPException

from tests_integration.harness.mailbox import MailboxClient

READ_EVERY = 2.0
"""Seconds."""


class MailHistory:
    """A thread that reads `mailbox`. Nothing else may read it until `finish` returns."""

    def __init__(self, mailbox: MailboxClient) -> None:
        self._mailbox = mailbox
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._read, name="mail history", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        self._closed.set()
        self._thread.join()

    def _read(self) -> None:
        while not self._closed.wait(READ_EVERY):
            with suppress(OSError, HTTPException, ValueError):  # the mail server is down, too
                self._mailbox.by_recipient()
