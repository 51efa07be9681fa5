"""A readable message that dies calls `ON_DEAD` of the service's wiring, in the same transaction.

def report_dead(envelope, reason):
    ...  # writes rows, publishes an event: both are kept if and only if the message is dead
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import connection, transaction

from admit_one.contract import Envelope
from admit_one.logs import EventLogger
from admit_one.messaging.inbox import Received
from admit_one.wiring import wired

logger = EventLogger(__name__)

OnDead = Callable[[Envelope[Any], str], object]


def call_on_dead(message: Received, reason: str) -> None:
    """Call the service's `ON_DEAD`, if it has one and the message can be read.

    Call it in the transaction in which the message dies. A failure of `ON_DEAD` is logged, what it
    has written is rolled back, and the message is dead all the same.
    """
    on_dead: OnDead | None = wired("ON_DEAD")
    if on_dead is None or message.envelope is None:
        return
    try:
        with transaction.atomic():
            on_dead(message.envelope, reason)
            connection.check_constraints()  # some are else checked at the commit only
    except Exception:
        if connection.needs_rollback:  # the connection is lost, and the message not dead yet
            raise
        logger.error(
            "on_dead_failed", "ON_DEAD failed, and the message is dead all the same", exc_info=True
        )
