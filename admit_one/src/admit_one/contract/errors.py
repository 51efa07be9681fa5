"""What can be wrong with a message, and with the contract that describes it.

The docstring of each error is its meaning and its remedy; it is also the default text.
"""

from __future__ import annotations

from typing import Any


class MessagingError(Exception):
    """Something is wrong with a message or with the way it was sent."""

    def __init__(self, text: str = "") -> None:
        super().__init__(text or (self.__doc__ or "").split("\n")[0])


class ContractError(Exception):
    """A contract package is incomplete, or its files differ from its classes."""


class Malformed(MessagingError):
    """The bytes are not an event of ours. It will never be readable: set aside as dead."""


class Transient(MessagingError):
    """This cannot be handled now, but may be later. Tried again when due, then dead."""


class UnknownEvent(Transient):
    """No event of this type is known here. A newer release may know it: tried again, then dead."""


class Undeliverable(MessagingError):
    """The event cannot be sent as it is. Nothing was written; mend the event."""


class NotInTransaction(MessagingError):
    """An event is published in the transaction of the change it reports: use transaction.atomic().

    Otherwise a crash between the two would lose one of them.
    """


class Rejected(MessagingError):
    """One message that a use case refuses for good. It is *returned*, never raised.

    Raising would fail the innocent neighbours of the same batch.
    `reason` is shown to operators: it names no code and no address.
    """

    def __init__(self, envelope: Any, reason: str) -> None:
        super().__init__(reason)
        self.envelope = envelope
        self.reason = reason
