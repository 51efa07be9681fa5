"""What becomes of a message: one decision, made in one place, without a database or a broker."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from admit_one.contract.errors import Malformed, Rejected
from admit_one.database.outage import LetGo

LET_GO_AFTER = 300.0
"""Seconds that a consumer holds a message; then others may have it."""


class Decision(StrEnum):
    ACK = "ack"
    """It was handled, now or before: the broker may forget it."""
    RETRY_ALONE = "retry alone"
    """Try it without the neighbours of its batch, one of which may be to blame."""
    SET_ASIDE = "set aside"
    """Keep it in the database and try it again when due."""
    DEAD_LETTER = "dead letter"
    """Keep it in the database until an operator decides."""
    HOLD = "hold"
    """Keep it in hand, unacked, and try it again after a pause."""
    LET_GO = "let go"
    """Leave it unacked: the broker delivers it again, here or elsewhere."""


@dataclass(frozen=True)
class History:
    """What is known about a message when one try has ended."""

    raised: bool = False
    """The handler raised the error; else the inbox returned it as this message's own."""
    alone: bool = True
    """The message was tried without neighbours."""
    last_try: bool = False
    """No retry is left after this one."""
    too_many_alike: bool = False
    """More messages in a row have failed with this cause than may be set aside."""
    held: float = 0.0
    """Seconds that the consumer has held the message."""
    stopping: bool = False
    """The process was asked to stop."""


def decide(error: Exception | None, history: History) -> Decision:
    """Decide about one message after a try that ended with `error`, or with none.

    The first row that fits holds:

    error                     history                              decision
    ------------------------  -----------------------------------  -----------
    none                                                           ACK
    LetGo                                                          LET_GO
    raised by a handler       with neighbours                      RETRY_ALONE
    raised by a handler       alone, too many alike:
                                stopping, or held > LET_GO_AFTER   LET_GO
                                else                               HOLD
    Malformed, Rejected       returned by the inbox                DEAD_LETTER
    any                       the last try                         DEAD_LETTER
    any                                                            SET_ASIDE

    `LetGo` stands for a database or a broker that is away, which is no message's fault. A database
    error gets here only if the database works: then it is treated like any other error.
    """
    if error is None:
        return Decision.ACK
    if isinstance(error, LetGo):
        return Decision.LET_GO
    if history.raised and not history.alone:
        return Decision.RETRY_ALONE
    if history.raised and history.too_many_alike:
        gives_up = history.stopping or history.held > LET_GO_AFTER
        return Decision.LET_GO if gives_up else Decision.HOLD
    if not history.raised and isinstance(error, (Malformed, Rejected)):
        return Decision.DEAD_LETTER
    return Decision.DEAD_LETTER if history.last_try else Decision.SET_ASIDE
