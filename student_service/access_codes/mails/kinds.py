"""The kinds of mails, as a table: what each tells beside the brand, and when it is withdrawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from access_codes.models import MailIntent

from . import access_code_mail, expiring_soon_mail, wording
from .composing import Letter, name_of


class Kind(NamedTuple):
    facts: Callable[[MailIntent], Mapping[str, Any]]
    """What its templates may say of this mail, beside the plan, the code and the brand."""
    why_withdrawn: Callable[[MailIntent], str]
    """Why the mail must not be sent any more; empty if it may be."""


WITH_CODE = Kind(access_code_mail.facts, access_code_mail.why_withdrawn)

KINDS = {
    MailIntent.Kind.CODE: WITH_CODE,
    MailIntent.Kind.RESEND: WITH_CODE,
    MailIntent.Kind.REPLACED: WITH_CODE,
    MailIntent.Kind.EXPIRING_SOON: Kind(expiring_soon_mail.facts, expiring_soon_mail.why_withdrawn),
}
"""Each has templates of its name in each language."""


def of(intent: MailIntent) -> Kind:
    return KINDS[MailIntent.Kind(intent.kind)]


def letter(intent: MailIntent) -> Letter:
    """What the recipient reads, with the code as it is now.

    Raises `Unsealable` if it shows a code whose key is gone, and `Unrenderable`.
    """
    row = intent.access_code
    code = row.code if intent.has_code else ""
    facts = {"plan": name_of(row.plan), **of(intent).facts(intent)}
    return wording.letter(intent.kind, row.language, facts, code)
