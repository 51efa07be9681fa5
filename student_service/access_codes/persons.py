"""One person's data: which codes are theirs, and how they are erased.

Ids, plan, times, and what was paid stay, with who has let them in and when.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from admit_one.contract.fields import spellings
from admit_one.database import bulk
from admit_one.erasure.definition import Found, Person
from admit_one.sealing import cipher
from django.db.models import QuerySet
from django.utils import timezone
from shared_contracts.events import AccessErased, AccessErasureRequested

from . import webhook_events
from .mails import again
from .mails.mailboxes import mailbox_hash
from .models import (
    ERASED_EMAIL,
    RECIPIENT_PURPOSE,
    AccessCode,
    MailIntent,
    Redemption,
    ReplacedCode,
    Resend,
    Revocation,
    Suspension,
    Terms,
    WaitingGrant,
    of_user,
)

MAY_COME_FIRST = (AccessCode, Revocation, Terms, Resend)
"""Models with a row by subscription; each may be written before the others."""


def find(person: Person) -> Found:
    """The given subscriptions that are known, those of these users, and those of these addresses.

    Not sure are those whose mails went to an address before it was corrected.
    """
    ids = [UUID(subject) for subject in person.subjects]
    subjects = {str(pk) for model in MAY_COME_FIRST for pk in bulk.existing(model, ids)}
    for user_id in person.user_ids:
        codes = AccessCode.objects.filter(of_user(user_id))
        subjects |= {str(pk) for pk in codes.values_list("pk", flat=True)}
    uncertain: dict[str, str] = {}
    for email in person.emails:
        wanted = spellings(email)
        for code in _mailed_to(email):
            why = _why_uncertain(code, wanted)
            if why is None:
                subjects.add(str(code.pk))
            elif why:
                uncertain[str(code.pk)] = why
    return Found(dict.fromkeys(subjects, ""), uncertain)


def _mailed_to(email: str) -> QuerySet[AccessCode]:
    """The codes with a mail to a mailbox that is counted as this one: perhaps another's."""
    return AccessCode.objects.kept().filter(
        pk__in=MailIntent.objects.filter(recipient_hash=mailbox_hash(email)).values("access_code")
    )


def _why_uncertain(code: AccessCode, wanted: Collection[str]) -> str | None:
    """Why a code may be somebody else's; none if its mails go to this address, in one of these
    spellings, and empty if no mail ever went there."""
    latest = again.latest_address(code)
    if latest is None:
        return "no key opens the address to which it is mailed"
    if latest.lower() in wanted:
        return None
    mails = code.mails.all()
    was_there = any((_address(mail) or "").lower() in wanted for mail in mails)
    return "it was mailed there before its address was corrected" if was_there else ""


def _address(mail: MailIntent) -> str | None:
    try:
        return mail.address
    except cipher.Unsealable:
        return None


def active(subjects: Collection[str]) -> set[str]:
    """Those of which the payment side has not reported that they are cancelled.

    To erase one cancels it there. A code that has not come, that an operator has revoked, or whose
    time is up here may be of one that is paid.
    """
    ended = Revocation.objects.filter(
        pk__in=[UUID(subject) for subject in subjects], cancelled_at__isnull=False
    )
    return set(subjects) - {str(pk) for pk in ended.values_list("pk", flat=True)}


def request(subject: str, erasure_id: UUID) -> AccessErasureRequested:
    return AccessErasureRequested(subscription_id=UUID(subject), erasure_id=erasure_id)


def answer(subject: str, erasure_id: UUID, at: datetime) -> AccessErased:
    return AccessErased(subscription_id=UUID(subject), erasure_id=erasure_id, erased_at=at)


def rows(subjects: Sequence[str]) -> Iterator[QuerySet[Any]]:
    """What is kept about these subscriptions."""
    ids = [UUID(subject) for subject in subjects]
    yield AccessCode.objects.filter(pk__in=ids)
    yield ReplacedCode.objects.filter(subscription_id__in=ids)
    yield Revocation.objects.filter(pk__in=ids)
    yield Terms.objects.filter(pk__in=ids)
    yield Suspension.objects.filter(subscription_id__in=ids)
    yield Redemption.objects.filter(access_code__in=ids)
    yield Resend.objects.filter(pk__in=ids)
    yield WaitingGrant.objects.filter(subscription_id__in=ids)
    yield MailIntent.objects.filter(access_code__in=ids)


def erase(subjects: Sequence[str]) -> None:
    """Revoke the codes, remove them, and blank what says whose they were."""
    ids = [UUID(subject) for subject in subjects]
    # Whoever writes about a code locks its row, so this waits for them.
    codes = AccessCode.objects.filter(pk__in=ids).order_by("pk").select_for_update()
    locked = list(codes.values_list("pk", flat=True))
    before = bulk.existing(Revocation, locked)
    revoked = [pk for pk in locked if pk not in before]
    now = timezone.now()
    Revocation.objects.bulk_create(Revocation(access_code_id=pk, revoked_at=now) for pk in revoked)
    webhook_events.report_of("revoked", revoked)
    AccessCode.objects.filter(pk__in=ids).update(
        **dict.fromkeys(("sealed_code", "lookup_hash", "lookup_hash_next")),
        **dict.fromkeys(("sealed_user_id", "user_hash", "user_hash_next", "language")),
    )
    ReplacedCode.objects.filter(subscription_id__in=ids).delete()
    WaitingGrant.objects.filter(subscription_id__in=ids).delete()
    Redemption.objects.filter(access_code__in=ids).update(reference=None)
    Resend.objects.filter(pk__in=ids).update(recipient=None, refused="")
    _erase_mails(ids)


def _erase_mails(ids: Sequence[UUID]) -> None:
    """A worker that sends one now finds that it is no longer its own, and writes nothing."""
    mails = MailIntent.objects.filter(access_code__in=ids)
    # Nor does an operator send one again.
    mails.exclude(state=MailIntent.State.SENT).update(state=MailIntent.State.WITHDRAWN)
    blank_hash = mailbox_hash(ERASED_EMAIL)
    for pk in list(mails.values_list("pk", flat=True)):
        mails.filter(pk=pk).update(
            recipient=cipher.seal(ERASED_EMAIL.encode(), RECIPIENT_PURPOSE, pk),
            recipient_hash=blank_hash,
            next_attempt_at=None,
            last_error="",
            provider_id="",
        )
