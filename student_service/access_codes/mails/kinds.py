"""The kinds of mails, as a table: what each tells beside the brand, and when it is withdrawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from access_codes.models import MailIntent

from . import access_code_mail, expiring_soon_mail
from .composing import name_of


class Kind(NamedTuple):
    facts: Callable[[MailIntent], Mapping[str, Any]]
    """What its templates may say of this mail alone: nothing, if they say the same to all."""
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

WITH_A_CODE = {kind for kind, each in KINDS.items() if each is WITH_CODE}


def of(intent: MailIntent) -> Kind:
    return KINDS[MailIntent.Kind(intent.kind)]


def facts(intent: MailIntent) -> Mapping[str, Any]:
    """What its templates may say of this mail, beside the code and the brand."""
    return {"plan": name_of(intent.access_code.plan), **of(intent).facts(intent)}
