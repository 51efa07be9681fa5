"""People who read their mail as it comes: in the end there is too much to read it all at once."""

from __future__ import annotations

import threading
from contextlib import suppress
from http.client import HTTPException

from tests_integration.harness.mailbox import Mailbox

LOOK_EVERY = 2.0


class Readers:
    """A thread that keeps `mailbox` up to date; it alone may look there until it has finished."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._read_on, name="readers", daemon=True)

    def open(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        """Returns when the last look is over, which takes as long as a request may, at most."""
        self._closed.set()
        self._thread.join()

    def _read_on(self) -> None:
        while not self._closed.wait(LOOK_EVERY):
            with suppress(OSError, HTTPException, ValueError):  # the mail server is down, too
                self._mailbox.by_recipient()
