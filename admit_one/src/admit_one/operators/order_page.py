"""The page on which an operator orders an action on messages, and reads its result."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from django import forms
from django.http import Http404, HttpRequest, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import urlencode

from admit_one.contract.errors import MessagingError
from admit_one.masking import harmless
from admit_one.messaging.models import SetAside
from admit_one.messaging.set_aside import groups
from admit_one.messaging.set_aside.groups import STATES, Choice
from admit_one.messaging.set_aside.operator_actions import (
    NEED_A_REASON,
    OUTAGE_ERRORS,
    OperatorActions,
    Outcome,
    in_words,
)
from admit_one.messaging.set_aside.replay_results import ReplayOrder
from admit_one.processes.stopping import Stop
from admit_one.sealing.canaries import WrongKey

from .deciding import operator, posted, reason_field

TEMPLATE = "admin/messaging/setaside/order.html"

PATIENCE = 4.0
"""Seconds that an order may take; less than a stopping web process waits for a request."""

MOST_IDS = 200
"""Ids in one URL. More messages than that are chosen by their group."""

_NEVER_STOPS = Stop()

VERBS = {
    "replay": "Replay",
    "discard": "Discard",
    "restore": "Restore",
    "go-on": "Go on",
}
EXPLAINED = {
    "replay": "Each message is handled again, in growing batches. "
    "The replay stops when too many fail again.",
    "discard": "They are no longer retried. They are kept, and Restore undoes it.",
    "restore": "They are dead letters again, and wait for an operator.",
    "go-on": "For an hour, consumers set aside messages with this cause, instead of holding them.",
}


class InvalidChoice(MessagingError):
    """The query of a URL does not choose messages."""


class OrderForm(forms.Form):
    reason = reason_field(required=False)
    rate = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=10_000,
        label="Messages a second",
        help_text="At most; leave it empty for no limit.",
    )
    again = forms.BooleanField(
        required=False,
        label="Also messages that were handled before",
        help_text="Each is applied once more, and only once for each reason.",
    )

    def __init__(self, verb: str, data: QueryDict | None) -> None:
        super().__init__(data)
        self.fields["reason"].required = verb in NEED_A_REASON
        if verb != "replay":
            del self.fields["rate"], self.fields["again"]

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        if given.get("again") and not given.get("reason"):
            self.add_error("reason", "To apply messages that were handled before, give a reason.")
        return given


def address(verb: str, **choice: str | int) -> str:
    """The URL of the order `verb` for the messages that `choice` names."""
    return f"{reverse('admin:messaging_setaside_order', args=[verb])}?{urlencode(choice)}"


def orders_of(group: groups.Group) -> list[tuple[str, str]]:
    """The orders that fit a group: names and URLs."""
    which = {"group": group.fingerprint, "state": group.state}
    orders = [(VERBS[verb], address(verb, **which)) for verb in verbs_for(group.state)]
    if group.state in STATES["discard"]:
        orders.append((VERBS["go-on"], address("go-on", group=group.fingerprint)))
    return orders


def verbs_for(state: str) -> list[str]:
    """The verbs that apply to messages in this state."""
    return [verb for verb, states in STATES.items() if state in states]


def answer(request: HttpRequest, verb: str, context: dict[str, Any]) -> TemplateResponse:
    """The page of a verb; after a POST, with its result."""
    if verb not in VERBS:
        raise Http404(f"no verb {verb}")
    context |= {"verb": verb, "title": VERBS[verb], "explained": EXPLAINED[verb]}
    try:
        choice = _parse_choice(request.GET)
        if verb == "go-on" and choice.group is None:
            raise InvalidChoice("expected a group")
    except InvalidChoice as error:
        return TemplateResponse(request, TEMPLATE, {**context, "none": str(error)}, status=400)
    form = OrderForm(verb, posted(request))
    outcome, rehearsed = None, verb == "replay" and "rehearse" in request.POST
    if form.is_valid():
        order = "rehearse" if rehearsed else verb
        outcome = _carry_out(order, choice, operator(request), form.cleaned_data)
    context |= {"form": form, "outcome": outcome, "rehearsed": rehearsed}
    return TemplateResponse(request, TEMPLATE, context | _selection(verb, choice, outcome))


def _parse_choice(query: Mapping[str, str]) -> Choice:
    """The messages that a query names: `ids=1,2`, `group=3f9a12` or `all=1`, and a `state`.

    Raises `InvalidChoice`.
    """
    ids, group, everything = (query.get(name, "") for name in ("ids", "group", "all"))
    if sum(map(bool, (ids, group, everything))) != 1:
        raise InvalidChoice("expected one of: ids, group, all")
    numbers = ids.split(",") if ids else []
    if len(numbers) > MOST_IDS or not all(n.isdecimal() and len(n) < 19 for n in numbers):
        raise InvalidChoice(f"expected {MOST_IDS} ids at most, with commas between them")
    state = query.get("state") or None
    if state not in {None, *SetAside.State.values}:
        raise InvalidChoice(f"expected one of {', '.join(SetAside.State.values)}")
    return Choice([int(number) for number in numbers], group or None, bool(everything), state)


def _carry_out(verb: str, choice: Choice, who: str, given: dict[str, Any]) -> Outcome:
    """The result of an order, which ends after `PATIENCE`."""
    order = ReplayOrder(who, given["reason"], given.get("again", False))
    end = time.monotonic() + PATIENCE
    actions = OperatorActions(
        order, lambda *_: time.monotonic() < end, _NEVER_STOPS, rate=given.get("rate") or 0
    )
    try:
        return actions.do(verb, choice)
    except (MessagingError, WrongKey, *OUTAGE_ERRORS) as error:
        return Outcome(problem=in_words(error))


def _selection(verb: str, choice: Choice, outcome: Outcome | None) -> dict[str, Any]:
    """How many messages an order is for, and which; or why there are none."""
    try:
        if verb == "go-on":
            cause = groups.named(choice.group or "")
            rows = SetAside.objects.open().filter(fingerprint=cause)
        else:
            rows = choice.rows(verb).filter(state__in=STATES[verb])
        count, example = rows.count(), rows.first()
    except (MessagingError, *OUTAGE_ERRORS) as error:
        # After an order, it is no error that its group is gone.
        return {"count": 0, "none": "" if outcome else in_words(error)}
    of = f" with the cause {choice.group}" if choice.group else ""
    return {"count": count, "cause": harmless(of), "example": example}
