"""The history of the mailbox, read as mails come: in the end there are too many to read at once."""

from __future__ import annotations

import threading
from contextlib import suppress
from http.client import HTTPException

from tests_integration.harness.mailbox import Mailbox

READ_EVERY = 2.0
"""Seconds."""


class MailHistory:
    """A thread that reads `mailbox`; nobody else may read it until this has finished."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._read, name="mail history", daemon=True)

    def open(self) -> None:
        """Begin."""
        self._thread.start()

    def finish(self) -> None:
        """Returns when the last request has ended."""
        self._closed.set()
        self._thread.join()

    def _read(self) -> None:
        while not self._closed.wait(READ_EVERY):
            with suppress(OSError, HTTPException, ValueError):  # the mail server is down, too
                self._mailbox.by_recipient()
