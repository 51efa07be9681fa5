"""One connection to the mail server, with a thread of its own, for one mail after another.

The thread has no database connection: whoever gives it mails records how they ended. It always
reports how: what fails by a fault of ours is logged here, and costs no other mail.
"""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

from admit_one.masking import hiding
from admit_one.sealing import cipher

from access_codes.models import MailIntent

from . import faults, handing_over
from .attempt import Attempt, Ending
from .composing import Mail
from .lease import Lease
from .letters import Letters
from .session import ServerUnavailable, Session, said
from .templates import Unrenderable


class Given(NamedTuple):
    """A claimed mail, its lease, and what composes it."""

    intent: MailIntent
    lease: Lease
    letters: Letters


class Connected(NamedTuple):
    """The server lets this connection in, or why not."""

    connection: Connection
    error: ServerUnavailable | None


class Ended(NamedTuple):
    """What became of a mail."""

    connection: Connection
    given: Given
    result: Attempt | ServerUnavailable


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
        except ServerUnavailable as error:
            self._report(Connected(self, error))
            return
        self._report(Connected(self, None))
        while (given := self._given.get()) is not None:
            self._report(Ended(self, given, self._result(given)))
        self._close()

    def _result(self, given: Given) -> Attempt | ServerUnavailable:
        mail = _composed(given)
        if isinstance(mail, Attempt):
            return mail
        with hiding(mail.secrets):  # a server may repeat what it has read
            try:
                return self._attempt(mail, given.lease)
            except ServerUnavailable as error:
                return error
            except BaseException as error:  # noqa: BLE001 (a backend, too)
                fault = faults.log(given.intent, error)
                if given.lease.is_handed_over:
                    return Attempt(Ending.LOST, fault)
                return Attempt(Ending.NOT_TRIED, fault, pause=faults.PAUSE)

    def _attempt(self, mail: Mail, lease: Lease) -> Attempt:
        try:
            return self._send(mail, lease)
        except ServerUnavailable:
            if not self._is_used:
                raise
            # Some servers limit mails per connection: a new one shows whether it is that.
            self._connect()
            return self._send(mail, lease)

    def _send(self, mail: Mail, lease: Lease) -> Attempt:
        session = self._session or self._connect()
        try:
            attempt = session.send(mail, lease)
        except BaseException:
            self._close()
            raise
        self._is_used = True
        if attempt.connection_broke or attempt.ending is Ending.NOT_TRIED:
            self._close()
        return attempt

    def _connect(self) -> Session:
        try:
            self._session = session = self._open.enter_context(handing_over.session())
        except ServerUnavailable:
            raise
        except BaseException as error:  # noqa: BLE001 (a backend may raise anything)
            faults.log_connecting(error)
            raise ServerUnavailable(said(error)) from None
        self._is_used = False
        return session

    def _close(self) -> None:
        self._session = None
        self._open.__exit__(*sys.exc_info())  # no goodbye in the middle of a dialogue


def _composed(given: Given) -> Mail | Attempt:
    """The mail, or why there is none."""
    try:
        return given.letters.compose(given.intent)
    except ValueError:
        return Attempt(Ending.REFUSED, "its address is not valid in a mail")
    except (cipher.Unsealable, Unrenderable) as error:
        return Attempt(Ending.DEFERRED, str(error))
    except BaseException as error:  # noqa: BLE001 (a template may even exit)
        return Attempt(Ending.DEFERRED, faults.log(given.intent, error))
