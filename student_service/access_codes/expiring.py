"""Users are warned once, by mail, that their code expires soon; the payment side hears of it, too.

Terms whose end comes near are looked at once (`expiry_noted`), and once more after what may change
the answer: other terms, a suspension that is lifted, an address that is corrected. The mail is
written in the transaction that notes it, and there is one for each end.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast

from admit_one.messaging import publish
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from shared_contracts.events import AccessCodeExpiringSoon

from . import admission
from .admission import Reason
from .mails import expiring_soon_mail
from .models import Terms

if TYPE_CHECKING:
    from .looking_up import Checked

BATCH = 200
"""Codes in one transaction."""


def remind_due() -> int:
    """Write the mails of a batch of codes that expire soon; returns how many codes it looked at.

    Concurrent workers take different codes, and wait for none that is in use.
    """
    ahead = timedelta(days=settings.EXPIRING_SOON_DAYS)
    if not ahead:
        return 0
    with transaction.atomic():
        rows = list(_ending(ahead)[:BATCH])
        reminded = expiring_soon_mail.reminded({row.pk: _end(row) for row in rows})
        soon = [row for row in rows if row.pk not in reminded and _is_to_be_warned(row, ahead)]
        Terms.objects.filter(pk__in=[row.pk for row in rows]).update(expiry_noted=True)
        expiring_soon_mail.write(soon)
        publish(*(_report(row) for row in soon))
    return len(rows)


def _ending(ahead: timedelta) -> QuerySet[Checked]:
    """The codes that nobody has looked at, of which the first expires first. They get locked."""
    near = admission.with_state().filter(
        terms__expiry_noted=False,
        terms__valid_until__gt=Now(),
        terms__valid_until__lte=Now() + ahead,
    )
    locked = near.select_for_update(of=("self", "terms"), skip_locked=True, no_key=True)
    return locked.order_by("terms__valid_until")


def _is_to_be_warned(row: Checked, ahead: timedelta) -> bool:
    """Whether it lets in, and its user has had it for long enough to have forgotten its end.

    Where it was known less than `ahead` before, the user knows it from what was paid just now.
    """
    known = _end(row) - ahead >= _known_since(row)
    return known and admission.decide(row) == Reason.OK and admission.uses_left(row) != 0


def _end(row: Checked) -> datetime:
    return cast("datetime", row.terms.valid_until)  # `_ending` finds no others


def _known_since(row: Checked) -> datetime:
    since = (row.issued_at, row.terms.ends_since, row.terms.valid_from)
    return max(moment for moment in since if moment is not None)


def _report(row: Checked) -> AccessCodeExpiringSoon:
    return AccessCodeExpiringSoon(
        subscription_id=row.pk, valid_until=_end(row), noted_at=timezone.now()
    )
