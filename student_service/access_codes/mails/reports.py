"""Records what providers report of mails, by their webhooks.

A report is kept if it outdoes what is known, in the order of `MailIntent.Reported`. So the order
in which reports arrive does not matter, nor how often.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from admit_one.logs import EventLogger
from admit_one.masking import harmless
from django.db import transaction

from access_codes import metrics
from access_codes.models import AccessCode, MailIntent

from . import backends, finishing

if TYPE_CHECKING:
    from anymail.signals import AnymailTrackingEvent

logger = EventLogger(__name__)

Reported = MailIntent.Reported
State = MailIntent.State

ORDER = list(Reported)
GAVE_UP = {Reported.DROPPED, Reported.BOUNCED}
"""Reports after which a mail does not arrive."""
LONGEST = 250
"""Characters of a provider's reason."""

ENDED = (State.FAILED, State.SUPPRESSED, State.WITHDRAWN, State.WITHHELD)

OF_EVENTS = {
    "deferred": Reported.DEFERRED,
    "delivered": Reported.DELIVERED,
    "failed": Reported.DROPPED,
    "complained": Reported.COMPLAINED,
}
"""By the type of Anymail's event. All others, such as `opened`, say nothing about the delivery."""

UNDELIVERED = {"bounced", "rejected"}
"""Types of events after which a mail does not arrive; their reason tells why."""

OF_REASONS = {
    "invalid": Reported.BOUNCED,
    "bounced": Reported.BOUNCED,
    "spam": Reported.COMPLAINED,
}
"""For any other reason, such as a filter or retries that came to nothing, the mail was dropped:
that says nothing about the mailbox."""

OWN_WORDS = {"SoftBounce": Reported.DEFERRED, "suppress-complaint": Reported.COMPLAINED}
"""What Anymail does not tell from others: Postmark's bounce that may pass, and Mailgun's refusal of
a mailbox whose user complained before."""


@transaction.atomic
def record(events: Iterable[AnymailTrackingEvent]) -> None:
    """Record these events, and what they cause, in one transaction.

    Those about mails that are not ours, and those that say nothing new, change nothing.
    """
    for event in events:
        reported = meaning(event)
        intent = _mail(event) if reported else None
        if intent is None or _is_erased(intent):
            continue
        if ORDER.index(reported) > ORDER.index(Reported(intent.reported)):
            _note(intent, reported, _reason(event))


def meaning(event: AnymailTrackingEvent) -> MailIntent.Reported:
    """What an event says about the delivery, if anything."""
    if event.event_type not in UNDELIVERED:
        return OF_EVENTS.get(event.event_type, Reported.NOTHING)
    own_word = _fields(event).get("Type") or _fields(event, "event-data").get("reason")
    return OWN_WORDS.get(str(own_word)) or OF_REASONS.get(event.reject_reason, Reported.DROPPED)


def _mail(event: AnymailTrackingEvent) -> MailIntent | None:
    """The mail that an event is about, locked.

    By our Message-ID, which was noted with it or is its id; or else by the provider's own id.
    """
    mails = MailIntent.objects.select_for_update(of=("self",))
    noted = event.metadata.get(backends.NOTE) if isinstance(event.metadata, Mapping) else None
    for name in (noted, event.message_id):
        with suppress(ValueError, MailIntent.DoesNotExist):
            return mails.get(pk=UUID(str(name).strip("<>").partition("@")[0]))
    name = event.message_id
    return mails.filter(provider_id=name).first() if isinstance(name, str) and name else None


def _is_erased(intent: MailIntent) -> bool:
    """Whether its person is. Read under the lock of the mail, which an erasure takes, too."""
    return not AccessCode.objects.kept().filter(pk=intent.access_code_id).exists()


def _note(intent: MailIntent, reported: MailIntent.Reported, reason: str) -> None:
    intent.note(reported)
    if reported in {Reported.DEFERRED, Reported.DELIVERED}:
        return
    logger.warning(
        "mail_reported",
        "mail {mail} {reported}: {reason}",
        mail=intent.message_id, reported=reported.value, reason=reason,
    )  # fmt: skip
    if reported in GAVE_UP and intent.state not in ENDED:
        finishing.give_up(intent, intent.failed, f"{reported.value}: {reason}")
        transaction.on_commit(partial(metrics.count_mail, intent))


def _reason(event: AnymailTrackingEvent) -> str:
    text = event.mta_response or event.description or event.reject_reason or "no reason given"
    return harmless(str(text))[:LONGEST]


def _fields(event: AnymailTrackingEvent, within: str = "") -> Mapping[str, Any]:
    fields: object = event.esp_event
    if within and isinstance(fields, Mapping):
        fields = fields.get(within)
    return fields if isinstance(fields, Mapping) else {}
