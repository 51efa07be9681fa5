"""One connection to the mail server, with a thread of its own, for one mail after another.

The thread has no database connection: whoever gives it mails records how they ended.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

from admit_one.masking import hiding
from admit_one.sealing import cipher

from access_codes.models import MailIntent

from . import handing_over
from .attempt import Attempt, Ending
from .composing import Mail
from .lease import Lease
from .letters import Letters
from .session import ServerUnavailable, Session
from .templates import Unrenderable

NAME = "mail connection"
"""Of the threads."""


class Given(NamedTuple):
    """A claimed mail, and its lease."""

    intent: MailIntent
    lease: Lease


class Ended(NamedTuple):
    """What became of a mail, or what was raised instead."""

    connection: Connection
    given: Given
    result: Attempt | Exception


class Connection:
    """Connects when it gets its first mail, and again after the server has hung up."""

    def __init__(self, letters: Letters, tell: Callable[[Ended], object]) -> None:
        self._letters = letters
        self._tell = tell
        self._given: queue.SimpleQueue[Given | None] = queue.SimpleQueue()
        self._session: Session | None = None
        self._open = ExitStack()
        self._thread = threading.Thread(target=self._run, name=NAME, daemon=True)
        self._thread.start()

    @property
    def is_open(self) -> bool:
        """Whether the server has let us in, and has not hung up since."""
        return self._session is not None

    def give(self, given: Given) -> None:
        """Have this mail handed over. The next one may be given when it has ended."""
        self._given.put(given)

    def end(self) -> None:
        """Say goodbye after the mail in hand, if there is one."""
        self._given.put(None)

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def _run(self) -> None:
        while (given := self._given.get()) is not None:
            self._tell(Ended(self, given, self._result(given)))
        self._close()

    def _result(self, given: Given) -> Attempt | Exception:
        try:
            return self._attempt(given)
        except Exception as error:  # noqa: BLE001 (raised again by the thread of the run)
            return error

    def _attempt(self, given: Given) -> Attempt:
        try:
            mail = self._letters.compose(given.intent)
        except ValueError:
            return Attempt(Ending.REFUSED, "its address is not valid in a mail")
        except (cipher.Unsealable, Unrenderable) as error:
            return Attempt(Ending.DEFERRED, str(error))
        was_open = self.is_open
        with hiding(mail.secrets):  # a server may repeat what it has read
            try:
                return self._send(mail, given.lease)
            except ServerUnavailable:
                if not was_open:
                    raise
                # Some servers limit mails per connection: a new one shows whether it is that.
                return self._send(mail, given.lease)

    def _send(self, mail: Mail, lease: Lease) -> Attempt:
        try:
            attempt = self._connected().send(mail, lease)
        except BaseException:
            self._close()
            raise
        if attempt.connection_broke:
            self._close()
        return attempt

    def _connected(self) -> Session:
        if self._session is None:
            self._session = self._open.enter_context(handing_over.session())
        return self._session

    def _close(self) -> None:
        self._session = None
        self._open.close()
