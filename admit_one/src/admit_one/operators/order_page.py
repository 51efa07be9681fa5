"""The page on which an operator gives an order: to which messages, why, and what came of it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import Http404, HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import urlencode

from admit_one.contract.errors import MessagingError
from admit_one.masking import harmless
from admit_one.messaging.models import SetAside
from admit_one.messaging.set_aside import groups
from admit_one.messaging.set_aside.choice import STATES, Choice
from admit_one.messaging.set_aside.replay import Order

from . import orders as set_aside_orders
from .orders import OUTAGE_ERRORS, NotUnderstood, OrderResult, Work, in_words

TEMPLATE = "admin/messaging/setaside/order.html"

VERBS = {
    "replay": "Replay",
    "discard": "Discard",
    "restore": "Restore",
    "go-on": "Go on",
}
EXPLAINED = {
    "replay": "Each message is handled once more, in growing batches. "
    "The replay stops by itself when too many fail again.",
    "discard": "They are given up: nobody retries them. They stay readable, and Restore undoes it.",
    "restore": "They are dead letters again, and wait for an operator.",
    "go-on": "For an hour, consumers set aside what fails with this cause, instead of holding it.",
}
NEED_A_REASON = {"discard", "go-on"}


class OrderForm(forms.Form):
    """Why, and how."""

    reason = forms.CharField(
        required=False,
        max_length=2000,
        widget=forms.Textarea({"rows": 3, "cols": 60}),
        help_text="Kept for ever, with your name.",
    )
    rate = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=10_000,
        label="Messages a second",
        help_text="At most; leave it empty for no limit.",
    )
    again = forms.BooleanField(
        required=False,
        label="Also what was handled before",
        help_text="It is applied once more, and only once for each reason.",
    )

    def __init__(self, verb: str, *data: Any) -> None:
        super().__init__(*data)
        self.fields["reason"].required = verb in NEED_A_REASON
        if verb != "replay":
            del self.fields["rate"], self.fields["again"]

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        if given.get("again") and not given.get("reason"):
            self.add_error("reason", "To apply what was handled before, give a reason.")
        return given


def address(verb: str, **choice: str | int) -> str:
    """Where the order `verb` is given to the messages that `choice` names."""
    return f"{reverse('admin:messaging_setaside_order', args=[verb])}?{urlencode(choice)}"


def orders_of(group: groups.Group) -> list[tuple[str, str]]:
    """What can be ordered about a group: names and addresses."""
    which = {"group": group.fingerprint, "state": group.state}
    orders = [(VERBS[verb], address(verb, **which)) for verb in fitting(group.state)]
    if group.state in STATES["discard"]:
        orders.append((VERBS["go-on"], address("go-on", group=group.fingerprint)))
    return orders


def fitting(state: str) -> list[str]:
    """The verbs that can do something with messages in this state."""
    return [verb for verb, states in STATES.items() if state in states]


def answer(request: HttpRequest, verb: str, context: dict[str, Any]) -> TemplateResponse:
    """The page of a verb; if it was sent, with what came of it."""
    if verb not in VERBS:
        raise Http404(f"no verb {verb}")
    context |= {"verb": verb, "title": VERBS[verb], "explained": EXPLAINED[verb]}
    try:
        choice = set_aside_orders.chosen(request.GET)
        if verb == "go-on" and choice.group is None:
            raise NotUnderstood("expected a group")
    except NotUnderstood as error:
        return TemplateResponse(request, TEMPLATE, {**context, "none": str(error)}, status=400)
    form = OrderForm(verb, *([request.POST] if request.method == "POST" else []))
    outcome, finished = None, False
    if form.is_valid():
        what = "rehearse" if verb == "replay" and "rehearse" in request.POST else verb
        outcome = set_aside_orders.done(what, _work(request, choice, form.cleaned_data))
        finished = what != "rehearse" and not (outcome.left or outcome.problem)
    context |= {"form": form, "outcome": outcome, "finished": finished}
    return TemplateResponse(request, TEMPLATE, context | _meant(verb, choice, outcome))


def _work(request: HttpRequest, choice: Choice, given: dict[str, Any]) -> Work:
    who = f"{request.user.get_username()} (admin)"
    order = Order(who, given["reason"], given.get("again", False))
    return Work(choice, order, given.get("rate") or 0)


def _meant(verb: str, choice: Choice, outcome: OrderResult | None) -> dict[str, Any]:
    """How many messages an order is for, and which, in words; or why there are none."""
    try:
        if verb == "go-on":
            cause = groups.named(choice.group or "")
            rows = SetAside.objects.open().filter(fingerprint=cause)
        else:
            rows = choice.rows(verb).filter(state__in=STATES[verb])
        count, example = rows.count(), rows.first()
    except (MessagingError, *OUTAGE_ERRORS) as error:
        # After an outcome, a group that is not there any more is what was wanted.
        return {"count": 0, "none": "" if outcome else in_words(error)}
    of = f" with the cause {choice.group}" if choice.group else ""
    return {"count": count, "cause": harmless(of), "example": example}
