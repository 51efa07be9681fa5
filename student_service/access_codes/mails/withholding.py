"""What was paid with a test key is mailed to the addresses of a list only, if to any.

Mails that it withholds are finished when they are written. The list is read again
before each attempt, because it may have become shorter.
"""

from __future__ import annotations

from admit_one.contract.fields import mailable
from admit_one.sealing import cipher
from django.conf import settings

from access_codes.models import MailIntent

WHY = "a test, whose address is not in TEST_MAIL_ADDRESSES"


def is_listed(address: str) -> bool:
    """Whether the list has this address or its domain, in whatever case."""
    try:
        mailed = mailable(address).lower()
    except ValueError:
        return False  # no mail could go there
    return not {mailed, mailed[mailed.rindex("@") :]}.isdisjoint(settings.TEST_MAIL_ADDRESSES)


def must_withhold(intent: MailIntent) -> bool:
    """Whether this mail, with its code, must not be sent."""
    if not intent.access_code.test:
        return False
    try:
        return not is_listed(intent.address)
    except cipher.Unsealable:
        return False  # the attempt will fail because of that, and says so
