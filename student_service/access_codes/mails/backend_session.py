"""Hands over mails by a backend of Django's, and reads what its errors mean.

A backend blocks for as long as it likes. That holds the thread of its connection only: the run
keeps the lease meanwhile, and gives up what hangs.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

from . import backends, smtplib_errors
from .attempt import AGAIN, Attempt, Ending
from .composing import Mail
from .lease import Lease
from .session import ServerUnavailable, said


class BackendSession:
    """A connection of a backend, for many mails in sequence."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._read_provider = _reader(path)
        try:
            self._backend = backends.load(path)
            self._backend.open()
        except Exception as error:  # noqa: BLE001 (nothing was handed over)
            raise ServerUnavailable(said(error), *smtplib_errors.refusal(error)) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        with suppress(Exception):  # whatever it says, its mails have ended
            self._backend.close()

    def send(self, mail: Mail, lease: Lease) -> Attempt:
        """Hand over one mail."""
        message: Any = backends.prepare(mail.message, self._path)
        domain = mail.recipient.rpartition("@")[2].lower()
        if not lease.hand_over():
            return Attempt(Ending.NOT_TRIED, "another worker may have it", pause=AGAIN)
        try:
            count = self._backend.send_messages([message])
        except Exception as error:  # noqa: BLE001 (whatever it is, it is read)
            return self._after(error)._replace(domain=domain)
        return _answered(count, message)._replace(domain=domain)

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


def _reader(path: str) -> Callable[[Exception], Attempt | None]:
    if not backends.provider_of(path):
        return lambda _: None
    from . import anymail_errors  # noqa: PLC0415 (the extra is installed, or the setting is wrong)

    return anymail_errors.read
