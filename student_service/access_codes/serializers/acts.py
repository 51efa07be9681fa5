"""What operators ask to be done about a code."""

from __future__ import annotations

from admit_one.web import MailAddress, StrictSerializer

from .fields import ReasonField


class Reasoned(StrictSerializer):
    """Why it is to be done."""

    reason = ReasonField()


class Resending(Reasoned):
    """Why the code is to be mailed again, and where to."""

    email = MailAddress(
        max_length=254,
        required=False,
        help_text="a corrected address, also for later mails; by default that of the latest mail",
    )


reasoned, resending = Reasoned(), Resending()
