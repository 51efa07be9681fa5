"""The kinds of mails, as a table: what each says, and when it is withdrawn."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from access_codes.models import MailIntent

from . import access_code_mail, expiring_soon_mail
from .composing import Letter


class Kind(NamedTuple):
    letter: Callable[[MailIntent], Letter]
    """What the recipient reads. Raises `Unsealable` if it shows a code whose key is gone."""
    why_withdrawn: Callable[[MailIntent], str]
    """Why the mail must not be sent any more; empty if it may be."""


KINDS = {
    MailIntent.Kind.CODE: Kind(access_code_mail.letter_of, access_code_mail.why_withdrawn),
    MailIntent.Kind.RESEND: Kind(
        partial(access_code_mail.letter_of, again=True), access_code_mail.why_withdrawn
    ),
    MailIntent.Kind.EXPIRING_SOON: Kind(
        expiring_soon_mail.letter, expiring_soon_mail.why_withdrawn
    ),
}


def of(intent: MailIntent) -> Kind:
    return KINDS[MailIntent.Kind(intent.kind)]
