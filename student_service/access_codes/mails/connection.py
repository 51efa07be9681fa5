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


class Given(NamedTuple):
    """A claimed mail, its lease, and what composes it."""

    intent: MailIntent
    lease: Lease
    letters: Letters


class Connected(NamedTuple):
    """The server lets this connection in, or what was raised instead."""

    connection: Connection
    error: Exception | None


class Ended(NamedTuple):
    """What became of a mail, or what was raised instead."""

    connection: Connection
    given: Given
    result: Attempt | Exception


class Connection:
    """Connects at once, and reports that; then it reports the end of each mail that it is given."""

    def __init__(self, report: Callable[[Connected | Ended], object]) -> None:
        self._report = report
        self._given: queue.SimpleQueue[Given | None] = queue.SimpleQueue()
        self._session: Session | None = None
        self._is_used = False
        """Whether the server has answered a mail over this session."""
        self._open = ExitStack()
        self._thread = threading.Thread(target=self._run, name="mail connection", daemon=True)
        self._thread.start()

    @property
    def is_open(self) -> bool:
        """Whether the server has let us in, and has not hung up since."""
        return self._session is not None

    @property
    def has_ended(self) -> bool:
        return not self._thread.is_alive()

    def give(self, given: Given) -> None:
        """Have this mail handed over. The next one may be given when it has ended."""
        self._given.put(given)

    def end(self) -> None:
        """Say goodbye, after the mail in hand if there is one."""
        self._given.put(None)

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def _run(self) -> None:
        try:
            self._connect()
        except BaseException as error:  # noqa: BLE001 (raised again by the thread of the run)
            self._report(Connected(self, _as_exception(error)))
            return
        self._report(Connected(self, None))
        while (given := self._given.get()) is not None:
            self._report(Ended(self, given, self._result(given)))
        self._close()

    def _result(self, given: Given) -> Attempt | Exception:
        try:
            return self._attempt(given)
        except BaseException as error:  # noqa: BLE001 (raised again by the thread of the run)
            return _as_exception(error)

    def _attempt(self, given: Given) -> Attempt:
        try:
            mail = given.letters.compose(given.intent)
        except ValueError:
            return Attempt(Ending.REFUSED, "its address is not valid in a mail")
        except (cipher.Unsealable, Unrenderable) as error:
            return Attempt(Ending.DEFERRED, str(error))
        with hiding(mail.secrets):  # a server may repeat what it has read
            try:
                return self._send(mail, given.lease)
            except ServerUnavailable:
                if not self._is_used:
                    raise
                # Some servers limit mails per connection: a new one shows whether it is that.
                self._connect()
                return self._send(mail, given.lease)

    def _send(self, mail: Mail, lease: Lease) -> Attempt:
        session = self._session or self._connect()
        try:
            attempt = session.send(mail, lease)
        except BaseException:
            self._close()
            raise
        self._is_used = True
        if attempt.connection_broke:
            self._close()
        return attempt

    def _connect(self) -> Session:
        self._session = session = self._open.enter_context(handing_over.session())
        self._is_used = False
        return session

    def _close(self) -> None:
        self._session = None
        self._open.close()


def _as_exception(error: BaseException) -> Exception:
    """A backend or a template that exits must not end the worker."""
    return error if isinstance(error, Exception) else RuntimeError(repr(error))
