"""Whoever is erased is erased on both sides, and nothing else counts as lost because of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from .evidence import Evidence
from .findings import Verdict

Value = TypeVar("Value")

NOBODY = "erased"
"""What stands in place of an erased user."""


def erasures(evidence: Evidence, verdict: Verdict) -> None:
    for service, tombstones in evidence.tombstones.items():
        for subscription in evidence.erased:
            if not tombstones.get(subscription):
                verdict.lost.append(f"the erasure of subscription {subscription} by {service}")
        for subscription in tombstones.keys() - set(evidence.erased):
            verdict.unaccounted.append(f"nobody erased subscription {subscription} on {service}")
    for subscription in evidence.erased:
        if evidence.recorded.get(subscription, NOBODY) != NOBODY:
            verdict.leaked.append(f"the user of the erased subscription {subscription}")
        if evidence.shown.get(subscription) is not None:
            verdict.leaked.append(f"the code of the erased subscription {subscription}")
        if evidence.lets_in.get(subscription):
            verdict.doubled.append(f"a code of the erased subscription {subscription} lets in")


def without_erased(evidence: Evidence) -> Evidence:
    """The evidence about all others. Webhooks are about the erased as well, by their ids."""
    erased = set(evidence.erased)

    def others(by_id: Mapping[str, Value]) -> dict[str, Value]:
        return {each: value for each, value in by_id.items() if each not in erased}

    return replace(
        evidence,
        accepted=others(evidence.accepted),
        shown=others(evidence.shown),
        recorded=others(evidence.recorded),
        issued=[each for each in evidence.issued if each not in erased],
        cancelled=_without(evidence.cancelled, erased),
        shown_cancelled=_without(evidence.shown_cancelled, erased),
        revoked=_without(evidence.revoked, erased),
        confirmed=_without(evidence.confirmed, erased),
        replaced=others(evidence.replaced),
        older_codes=others(evidence.older_codes),
        suspended=_without(evidence.suspended, erased),
        redeemed=others(evidence.redeemed),
        allowed=others(evidence.allowed),
        access={side: others(known) for side, known in evidence.access.items()},
        lets_in=others(evidence.lets_in),
        renewed=others(evidence.renewed),
        terms={side: others(known) for side, known in evidence.terms.items()},
        **_without_their_mails(evidence, erased),
        **_without_their_messages(evidence, erased),
    )


def _without(ids: Iterable[str], erased: Collection[str]) -> set[str]:
    return set(ids) - set(erased)


def _without_their_mails(evidence: Evidence, erased: Collection[str]) -> dict[str, Any]:
    theirs = {each.message_id for each in evidence.intents if each.subscription in erased}
    return {
        "intents": [each for each in evidence.intents if each.subscription not in erased],
        "mails": [mail for mail in evidence.mails if mail.message_id not in theirs],
    }


def _without_their_messages(evidence: Evidence, erased: Collection[str]) -> dict[str, Any]:
    """What was to be set aside because of an event of theirs may count as a duplicate of it."""
    handled = {
        service: [each for each in messages if each.subject not in erased]
        for service, messages in evidence.handled.items()
    }
    theirs = {
        each.event_id
        for messages in evidence.handled.values()
        for each in messages
        if each.subject in erased
    }
    published = evidence.published
    marks = {mark for mark, victim in published.victims.items() if victim in erased}
    return {
        "sent": {
            service: [each for each in events if each.subject not in erased]
            for service, events in evidence.sent.items()
        },
        "handled": handled,
        "set_aside": {
            service: [
                each for each in rows if each.subject not in erased and each.mark not in marks
            ]
            for service, rows in evidence.set_aside.items()
        },
        "published": replace(
            published,
            poison={service: each - marks for service, each in published.poison.items()},
            requests=published.requests - theirs,
        ),
    }
