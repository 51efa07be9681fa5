"""What can be wrong with a message, and with the contract that describes it.

The docstring of each error is its meaning and its remedy; it is also the default text.
"""

from __future__ import annotations

import re
from typing import Any

_ID_OR_NUMBER = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9][0-9,.]*", re.I)

LONGEST_KIND = 100
"""Characters."""


class MessagingError(Exception):
    """Something is wrong with a message or with the way it was sent.

    `kind` is the kind of fault: by default the text without ids and numbers. `sender` is the type
    and source of the message, as far as they could be read. Messages with the same kind and the
    same sender are one group for operators.
    """

    def __init__(self, text: str = "", *, kind: str = "", sender: str = "") -> None:
        super().__init__(text or (self.__doc__ or "").split("\n")[0])
        self.kind = kind or _ID_OR_NUMBER.sub("…", str(self))[:LONGEST_KIND]
        self.sender = sender


class ContractError(Exception):
    """A contract package is incomplete, or its files differ from its classes."""


class Malformed(MessagingError):
    """The bytes are not one of our events. They never will be: set aside as dead."""


class Transient(MessagingError):
    """This cannot be handled now, but may be later. Retried when due, then dead."""


class UnknownEvent(Transient):
    """No event of this type is known here. A newer release may know it: retried, then dead."""


class UnknownKey(Transient):
    """The key that signed or sealed this is not listed here. Once it is: retried, then dead."""


class Unauthenticated(MessagingError):
    """Nothing proves who sent this: no signature, a wrong or an old one. Set aside as dead."""


class Undeliverable(MessagingError):
    """The event cannot be sent as it is. Nothing was written; fix the event."""


class NotInTransaction(MessagingError):
    """An event is published in the transaction of the change it reports: use transaction.atomic().

    Otherwise a crash between the two would lose one of them.
    """


class Rejected(MessagingError):
    """One message that a use case refuses for good. It is *returned*, never raised.

    Raising would fail the other messages of the batch, too.
    `reason` is shown to operators, so it must contain no code and no address.
    """

    def __init__(self, envelope: Any, reason: str) -> None:
        subject = getattr(envelope, "subject", "") or " "
        super().__init__(
            reason,
            kind=_ID_OR_NUMBER.sub("…", reason.replace(subject, "…"))[:LONGEST_KIND],
            sender=sent_by(getattr(envelope, "type", None), getattr(envelope, "source", None)),
        )
        self.envelope = envelope
        self.reason = reason


LONGEST_NAME = 60
"""Characters of a type or source in `sent_by`."""


def sent_by(event_type: object, source: object) -> str:
    """Who sent a message of which type, whatever stands there instead of their names."""
    named = [
        value if isinstance(value, str) and 0 < len(value) <= LONGEST_NAME else "?"
        for value in (event_type, source)
    ]
    return " from ".join(named)
