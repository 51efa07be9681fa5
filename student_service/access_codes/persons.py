"""One person's data: which codes are theirs, and how they are erased.

Ids, plan, times, and what was paid stay, with who has let them in and when.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from admit_one.database import bulk
from admit_one.erasure.definition import Person
from admit_one.sealing import cipher
from django.db.models import QuerySet
from django.utils import timezone
from shared_contracts.events import AccessErased, AccessErasureRequested

from . import admission, webhook_events
from .admission import Reason
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

OVER = {Reason.REVOKED, Reason.EXPIRED}
"""Why a code lets in nobody any more."""


def find(person: Person) -> set[str]:
    """The given subscriptions, those of these users, and those with a mail to these mailboxes."""
    of_them = (AccessCode.objects.filter(of_user(user_id)) for user_id in person.user_ids)
    codes = {pk for rows_ in of_them for pk in rows_.values_list("pk", flat=True)}
    mails = MailIntent.objects.filter(recipient_hash__in=map(mailbox_hash, person.emails))
    theirs = {*codes, *mails.values_list("access_code_id", flat=True)}
    return {*map(str, theirs), *person.subjects}


def active(subjects: Collection[str]) -> set[str]:
    """Those whose code is neither revoked nor expired."""
    rows = admission.with_state().filter(pk__in=subjects)
    return {str(row.pk) for row in rows if admission.decide(row) not in OVER}


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
        **dict.fromkeys(("sealed_user_id", "user_hash", "user_hash_next")),
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
