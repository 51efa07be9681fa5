"""Lives of a subscription, drawn at random, and what both sides must know at their end.

The tests of each service deliver the other side's events of a life in any order and repeatedly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from admit_one.contract import Event
from hypothesis import strategies as st
from shared_contracts.events import (
    AccessCodeCreated,
    AccessCodeRedeemed,
    AccessCodeReplaced,
    AccessCodeResendAnswered,
    AccessCodeResendRequested,
    AccessCodeRevoked,
    AccessSuspensionChanged,
    AccessTermsApplied,
    AccessTermsChanged,
    SubscriptionCancelled,
    UserSubscribed,
)

SUBSCRIPTION = UUID("019b7c5e-29f8-7b52-8a41-0c9d3e7f2a10")
PAID = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DIGITS = "23456789ABCDEFGHJKMNPQRSTVWXYZ"


@dataclass(frozen=True)
class Terms:
    """What the payment side decides."""

    version: int = 0
    valid_until: datetime | None = None
    uses: int | None = None
    suspended: bool = False


@dataclass(frozen=True)
class State:
    """What both sides know at the end of a life."""

    terms: Terms = Terms()
    cancelled: bool = False
    generation: int = 1
    uses_made: int = 0
    suspension_version: int = 0
    suspended_by_operator: bool = False
    revoked: bool = False
    resend_version: int = 0
    corrected: str | None = None

    @property
    def code(self) -> str:
        return code_of(self.generation)


@dataclass(frozen=True)
class Life:
    """The events of each side, in their order, and the state at the end."""

    from_payment: tuple[Event, ...]
    from_student: tuple[Event, ...]
    end: State


def code_of(generation: int) -> str:
    return "-".join([DIGITS[generation] * 4] * 4)


def _changed(terms: Terms, draw: st.DrawFn) -> Terms:
    return Terms(
        version=terms.version + draw(st.integers(1, 3)),
        valid_until=draw(st.none() | st.integers(0, 9).map(lambda d: PAID + timedelta(days=d))),
        uses=draw(st.none() | st.integers(1, 9)),
        suspended=draw(st.booleans()),
    )


@st.composite
def lives(draw: st.DrawFn) -> Life:
    """A subscription that is paid, gets its code, and then has up to eight changes."""
    terms = _changed(Terms(), draw) if draw(st.booleans()) else Terms()
    state = State(terms)
    payment: list[Event] = [
        UserSubscribed(
            subscription_id=SUBSCRIPTION,
            user_id="user-42",
            email="ada@example.com",
            plan="gold",
            amount=4900,
            currency="EUR",
            occurred_at=PAID,
            **vars(terms),
        )
    ]
    student: list[Event] = [
        AccessCodeCreated(
            subscription_id=SUBSCRIPTION,
            user_id="user-42",
            access_code=code_of(1),
            issued_at=PAID,
        )
    ]
    changes = ["terms", "cancel", "replace", "redeem", "suspend", "revoke", "resend"]
    for change in draw(st.lists(st.sampled_from(changes), max_size=8)):
        if change == "terms":
            state = replace(state, terms=_changed(state.terms, draw))
            payment.append(AccessTermsChanged(subscription_id=SUBSCRIPTION, **vars(state.terms)))
            student.append(
                AccessTermsApplied(subscription_id=SUBSCRIPTION, version=state.terms.version)
            )
        elif change == "cancel":
            state = replace(state, cancelled=True, revoked=True)
            payment.append(SubscriptionCancelled(subscription_id=SUBSCRIPTION, cancelled_at=PAID))
            student.append(AccessCodeRevoked(subscription_id=SUBSCRIPTION, revoked_at=PAID))
        elif change == "resend":
            state = _resent(state, draw)
            version = state.resend_version
            payment.append(
                AccessCodeResendRequested(
                    subscription_id=SUBSCRIPTION, version=version, email=state.corrected
                )
            )
            student.append(
                AccessCodeResendAnswered(
                    subscription_id=SUBSCRIPTION, version=version, answered_at=PAID
                )
            )
        elif change == "revoke":
            state = replace(state, revoked=True)
            student.append(AccessCodeRevoked(subscription_id=SUBSCRIPTION, revoked_at=PAID))
        else:
            state, event = _by_student(state, change)
            student.append(event)
    return Life(tuple(payment), tuple(student), state)


def _resent(state: State, draw: st.DrawFn) -> State:
    """Asked to be mailed again; an address that was corrected once stays so."""
    version = state.resend_version + draw(st.integers(1, 3))
    again = draw(st.booleans())
    corrected = f"ada{version}@example.org" if again else state.corrected
    return replace(state, resend_version=version, corrected=corrected)


def _by_student(state: State, change: str) -> tuple[State, Event]:
    if change == "replace":
        state = replace(state, generation=state.generation + 1)
        return state, AccessCodeReplaced(
            subscription_id=SUBSCRIPTION,
            generation=state.generation,
            access_code=state.code,
            issued_at=PAID,
        )
    if change == "redeem":
        state = replace(state, uses_made=state.uses_made + 1)
        return state, AccessCodeRedeemed(
            subscription_id=SUBSCRIPTION, uses=state.uses_made, redeemed_at=PAID
        )
    state = replace(
        state,
        suspension_version=state.suspension_version + 1,
        suspended_by_operator=not state.suspended_by_operator,
    )
    return state, AccessSuspensionChanged(
        subscription_id=SUBSCRIPTION,
        version=state.suspension_version,
        suspended=state.suspended_by_operator,
    )


@st.composite
def arrivals(draw: st.DrawFn, events: tuple[Event, ...]) -> list[list[Event]]:
    """The events in any order, each at least once, in batches of any size."""
    again = draw(st.lists(st.sampled_from(events), max_size=6))
    mixed = draw(st.permutations([*events, *again]))
    cuts = sorted(draw(st.sets(st.integers(1, len(mixed)), max_size=4)))
    ends = [*cuts, len(mixed)]
    return [mixed[a:b] for a, b in zip([0, *ends], ends, strict=False) if a < b]
