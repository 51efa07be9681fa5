"""Hands over mails by a backend of Django's, and reads what its errors mean.

A backend blocks for as long as it likes, so it works in a thread, while the lease is kept and the
time is watched here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from typing import Any, Self

from admit_one.masking import harmless
from django.conf import settings

from . import backends, smtplib_errors
from .attempt import Attempt, Ending
from .composing import Mail
from .lease import Lease
from .session import ServerUnavailable

TICK = 0.5
"""Seconds between two looks at the lease."""
LONGEST = 300
"""Characters of an error that are kept."""


class BackendSession:
    """A connection of a backend, for many mails in sequence."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._is_stuck = False
        self._read_provider = _reader(path)
        try:
            self._backend = backends.load(path)
            self._backend.open()
        except Exception as error:  # noqa: BLE001 (nothing was handed over)
            raise ServerUnavailable(said(error), *smtplib_errors.refusal(error)) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if not self._is_stuck:
            with suppress(Exception):  # whatever it says, its mails have ended
                self._backend.close()

    def send(self, mail: Mail, lease: Lease) -> Attempt:
        """Hand over one mail, in EMAIL_TIMEOUT and EMAIL_ACCEPT_TIMEOUT seconds together."""
        message: Any = backends.prepare(mail.message, self._path)
        domain = mail.recipient.rpartition("@")[2].lower()
        if not lease.hand_over():
            return Attempt(Ending.DROPPED, "another worker has the mail", domain)
        call = _Call(lambda: self._backend.send_messages([message]))
        if not call.ends(lease):
            self._is_stuck = True
            return Attempt(Ending.LOST, "the backend does not answer", domain)
        if call.error is not None:
            return self._after(call.error)._replace(domain=domain)
        return _answered(call.answer, message)._replace(domain=domain)

    def _after(self, error: Exception) -> Attempt:
        """What an error means. Raises `ServerUnavailable`."""
        attempt = smtplib_errors.read(error) or self._read_provider(error)
        return attempt or Attempt(Ending.LOST, said(error))


def _answered(count: object, message: Any) -> Attempt:
    """Only the number of a mail that was sent says that it was."""
    status = getattr(message, "anymail_status", None)
    if status is not None and status.status and "failed" in status.status:
        return Attempt(Ending.DEFERRED, "the provider says `failed`")
    if count != 1:
        return Attempt(Ending.LOST, f"the backend says that it sent {count!r} mails instead of 1")
    name = status.message_id if status is not None else None
    return Attempt(Ending.SENT, "taken", provider_id=name if isinstance(name, str) else "")


def said(error: Exception) -> str:
    """An error in one masked line."""
    return harmless(f"{type(error).__name__}: {error}")[:LONGEST]


def _reader(path: str) -> Callable[[Exception], Attempt | None]:
    if not backends.provider_of(path):
        return lambda _: None
    from . import anymail_errors  # noqa: PLC0415 (the extra is installed, or the setting is wrong)

    return anymail_errors.read


class _Call:
    """A call in a thread of its own, which may never return."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.answer: object = None
        self.error: Exception | None = None
        self._work = work
        self._thread = threading.Thread(target=copy_context().run, args=[self._run], daemon=True)

    def ends(self, lease: Lease) -> bool:
        """Wait for its end, while the lease is kept; false if it does not come in time."""
        until = time.monotonic() + settings.EMAIL_TIMEOUT + settings.EMAIL_ACCEPT_TIMEOUT
        self._thread.start()
        while True:
            self._thread.join(TICK)
            if not self._thread.is_alive():
                return True
            if time.monotonic() > until or not lease.keep():
                return False

    def _run(self) -> None:
        try:
            self.answer = self._work()
        except Exception as error:  # noqa: BLE001 (it is read afterwards)
            self.error = error
