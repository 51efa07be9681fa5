"""What to do with a message: one pure decision, in one place, without database or broker."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from admit_one.contract.errors import Malformed, Rejected, Unauthenticated
from admit_one.database.outage import NotNow

REQUEUE_AFTER = 300.0
"""Seconds that a consumer holds a message before it returns it to the broker."""


class Decision(StrEnum):
    ACK = "ack"
    """It was handled, now or before: the broker may forget it."""
    RETRY_ALONE = "retry alone"
    """Try it without the rest of its batch, which may be to blame."""
    SET_ASIDE = "set aside"
    """Keep it in the database and retry it when due."""
    DEAD_LETTER = "dead letter"
    """Keep it in the database until an operator decides."""
    HOLD = "hold"
    """Keep it unacked, and retry it after a pause."""
    REQUEUE = "requeue"
    """Leave it unacked: the broker delivers it again, here or elsewhere."""


@dataclass(frozen=True)
class History:
    """What is known about a message after an attempt to handle it."""

    raised: bool = False
    """The handler raised the error; otherwise the inbox returned it for this message."""
    alone: bool = True
    """The message was the only one of its batch."""
    last_attempt: bool = False
    """No retry is left after this one."""
    too_many_alike: bool = False
    """More messages in a row have failed with this cause than may be set aside."""
    held: float = 0.0
    """Seconds that the consumer has held the message."""
    stopping: bool = False
    """The process was asked to stop."""


def decide(error: Exception | None, history: History) -> Decision:
    """Decide about one message after an attempt that ended with `error`, or with none.

    The first row that matches applies:

    error                     history                              decision
    ------------------------  -----------------------------------  -----------
    none                                                           ACK
    NotNow                                                         REQUEUE
    raised by a handler       not alone                            RETRY_ALONE
    raised by a handler       alone, too many alike:
                                stop, or held > REQUEUE_AFTER      REQUEUE
                                else                               HOLD
    Malformed, Rejected,
    Unauthenticated           returned by the inbox                DEAD_LETTER
    any                       the last attempt                     DEAD_LETTER
    any                                                            SET_ASIDE

    `NotNow` stands for an unavailable database or broker, which is no message's fault. A database
    error gets here only if the database works; then it is treated like any other error.
    """
    if error is None:
        return Decision.ACK
    if isinstance(error, NotNow):
        return Decision.REQUEUE
    if history.raised and not history.alone:
        return Decision.RETRY_ALONE
    if history.raised and history.too_many_alike:
        gives_up = history.stopping or history.held > REQUEUE_AFTER
        return Decision.REQUEUE if gives_up else Decision.HOLD
    if not history.raised and isinstance(error, (Malformed, Rejected, Unauthenticated)):
        return Decision.DEAD_LETTER
    return Decision.DEAD_LETTER if history.last_attempt else Decision.SET_ASIDE
