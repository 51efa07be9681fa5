"""Codes that were lost here come back from the payment side."""

from __future__ import annotations

from collections.abc import Sequence

from admit_one.contract import Envelope
from admit_one.database import bulk
from admit_one.logs import EventLogger
from shared_contracts.events import AccessCodeRestored

from access_codes import codes
from access_codes.mails import access_code_mail
from access_codes.models import AccessCode

from . import grants

logger = EventLogger(__name__)

RESTORED = "restored from the payment side; it may have been sent before"


def restore_codes(messages: Sequence[Envelope[AccessCodeRestored]]) -> None:
    """Restore each code that was lost here, mail nothing, and report what exists now.

    A code that exists stays: whoever holds it may have used it already.
    """
    by_subscription = {message.data.subscription_id: message.data for message in messages}
    events = [by_subscription[subscription] for subscription in sorted(by_subscription)]
    restored = {
        subscription
        for (subscription,) in bulk.insert_new(
            AccessCode,
            [codes.row(event, event.access_code, event.issued_at) for event in events],
            conflict=["subscription_id"],
            returning=["subscription_id"],
        )
    }
    if restored:
        access_code_mail.write_restored(
            (event for event in events if event.subscription_id in restored), RESTORED
        )
        logger.warning(
            "codes_restored",
            "restored {codes} lost codes from the payment side",
            codes=len(restored),
        )
    grants.report((message, message.data.subscription_id) for message in messages)
