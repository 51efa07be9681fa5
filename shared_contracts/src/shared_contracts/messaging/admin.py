"""Set-aside messages in Django's admin: the same groups, stories and verbs as on the command line.

Who may look needs the permission `view_setaside`, who may do something `work_on_setaside` as well.
Nothing is edited or deleted here; what is done is kept as `OperatorAct`, with the login name.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.http import urlencode

from ..errors import MessagingError
from ..masking import harmless, mask
from . import set_aside_groups, set_aside_orders, set_aside_report
from .models import OperatorAct, SetAside
from .replay import Order
from .set_aside_choice import STATES, Choice
from .set_aside_orders import Work

if TYPE_CHECKING:
    from django.db.models import QuerySet

    SetAsideBase = admin.ModelAdmin[SetAside]
    OperatorActBase = admin.ModelAdmin[OperatorAct]
else:
    SetAsideBase = OperatorActBase = admin.ModelAdmin

VERBS = {
    "replay": "Replay",
    "discard": "Discard",
    "restore": "Restore",
    "go-on": "Go on",
}
EXPLAINED = {
    "replay": "Each goes the way of every message once more, in growing batches. "
    "It stops by itself when too many come back.",
    "discard": "They are given up: nobody tries them again. They stay readable, and Restore takes "
    "them back.",
    "restore": "They are taken back: they are dead again, and wait for somebody.",
    "go-on": "For an hour, consumers set aside what fails with this cause, instead of holding it.",
}
NEED_A_REASON = {"discard", "go-on"}


class OrderForm(forms.Form):
    """Why, and how: what stands on the page of a verb."""

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
        help_text="At most; empty: as fast as it goes.",
    )
    again = forms.BooleanField(
        required=False,
        label="Also what was handled already",
        help_text="It is applied once more; only with a reason.",
    )

    def __init__(self, verb: str, *data: Any) -> None:
        super().__init__(*data)
        self.fields["reason"].required = verb in NEED_A_REASON
        if verb != "replay":
            del self.fields["rate"], self.fields["again"]

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        if given.get("again") and not given.get("reason"):
            self.add_error("reason", "To apply what was handled already, say why.")
        return given


class NotByHand:
    """Rows that tell what happened: nobody adds, changes or deletes one."""

    def has_add_permission(self, *_: Any) -> bool:
        return False

    def has_change_permission(self, *_: Any) -> bool:
        return False

    def has_delete_permission(self, *_: Any) -> bool:
        return False


@admin.register(SetAside)
class SetAsideAdmin(NotByHand, SetAsideBase):
    list_display = ("id", "standing", "event", "about", "why", "attempts", "since")
    list_filter = ("state", "type", "suspect")
    search_fields = ("=event_id", "=subject")
    search_help_text = "An event's id, or a subscription's"
    ordering = ("-id",)
    list_per_page = 100
    show_full_result_count = False
    actions = ("replay_chosen", "discard_chosen", "restore_chosen")

    @admin.display(description="state", ordering="state")
    def standing(self, row: SetAside) -> str:
        return row.state

    @admin.display(description="event", ordering="type")
    def event(self, row: SetAside) -> str:
        return harmless(row.type) or "unreadable"

    @admin.display(description="about")
    def about(self, row: SetAside) -> str:
        return harmless(row.subject) or "?"

    @admin.display(description="reason")
    def why(self, row: SetAside) -> str:
        return harmless(set_aside_report.cut(f"{row.error}: {row.reason}"))

    @admin.display(description="since (UTC)", ordering="created_at")
    def since(self, row: SetAside) -> str:
        return _second(row.created_at)

    @admin.action(description="Replay the chosen ones …", permissions=["work"])
    def replay_chosen(self, request: HttpRequest, rows: QuerySet[SetAside]) -> HttpResponse:
        return self._order_of("replay", request, rows)

    @admin.action(description="Discard the chosen ones …", permissions=["work"])
    def discard_chosen(self, request: HttpRequest, rows: QuerySet[SetAside]) -> HttpResponse:
        return self._order_of("discard", request, rows)

    @admin.action(description="Restore the chosen ones …", permissions=["work"])
    def restore_chosen(self, request: HttpRequest, rows: QuerySet[SetAside]) -> HttpResponse:
        return self._order_of("restore", request, rows)

    def has_work_permission(self, request: HttpRequest) -> bool:
        """Whether this operator may do something, not only look."""
        return bool(request.user.has_perm("messaging.work_on_setaside"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[SetAside]:
        return super().get_queryset(request).defer("body", "headers", "traceback", "history")

    def get_urls(self) -> list[URLPattern]:
        order = self.admin_site.admin_view(self.order_view)
        return [
            path("order/<str:verb>/", order, name="messaging_setaside_order"),
            *super().get_urls(),
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The groups, and below them the messages."""
        may_work = self.has_work_permission(request)
        groups = set_aside_groups.groups()
        dead = any(group.state == SetAside.State.DEAD for group in groups)
        context = {
            "title": "Set-aside messages",
            "groups": [_shown(group, may_work=may_work) for group in groups],
            "replay_all": _address("replay", all=1) if dead and may_work else "",
            **(extra_context or {}),
        }
        return super().changelist_view(request, context)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",  # noqa: ARG002 (Django's)
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """All that is known of one message."""
        row = self.get_object(request, object_id)
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        if row is None:
            raise Http404(f"no message {object_id}")
        verbs = [verb for verb in ("replay", "discard", "restore") if _fits(verb, row)]
        context = {
            **self._context(request, f"Message {row.id}"),
            "facts": {name: harmless(value) for name, value in set_aside_report.facts(row).items()},
            "story": [(at, harmless(what)) for at, what in set_aside_report.story(row)],
            "traceback": mask(row.traceback),
            "orders": [(VERBS[verb], _address(verb, ids=row.id)) for verb in verbs]
            if self.has_work_permission(request)
            else [],
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/messaging/setaside/message.html", context)

    def order_view(self, request: HttpRequest, verb: str) -> HttpResponse:
        """What is to be done with which messages, why; and what came of it."""
        if not self.has_work_permission(request):
            raise PermissionDenied
        if verb not in VERBS:
            raise Http404(f"no verb {verb}")
        choice = set_aside_orders.chosen(request.GET)
        form = OrderForm(verb, *([request.POST] if request.method == "POST" else []))
        outcome = None
        if form.is_valid():
            given = form.cleaned_data
            who = f"{request.user.get_username()} (admin)"
            order = Order(who, given["reason"], given.get("again", False))
            what = "rehearse" if verb == "replay" and "rehearse" in request.POST else verb
            work = Work(choice, order, given.get("rate") or 0)
            outcome = set_aside_orders.done(what, work)
        context = {
            **self._context(request, VERBS[verb]),
            "form": form,
            "verb": verb,
            "explained": EXPLAINED[verb],
            "outcome": outcome,
            **_meant(verb, choice),
        }
        return TemplateResponse(request, "admin/messaging/setaside/order.html", context)

    def _order_of(
        self, verb: str, request: HttpRequest, rows: QuerySet[SetAside]
    ) -> HttpResponseRedirect:
        ids = list(rows.order_by("id").values_list("id", flat=True)[: self.list_per_page + 1])
        if len(ids) > self.list_per_page:
            text = "So many are chosen by their group, or with “all that are dead”, in the table."
            messages.warning(request, text)
            return redirect("admin:messaging_setaside_changelist")
        return redirect(_address(verb, ids=",".join(map(str, ids))))

    def _context(self, request: HttpRequest, title: str) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "opts": self.opts, "title": title}


@admin.register(OperatorAct)
class OperatorActAdmin(NotByHand, OperatorActBase):
    list_display = ("when", "action", "by", "event", "result", "reason", "set_aside_id")
    list_filter = ("action", "result")
    search_fields = ("=event_id", "=subject", "=by")
    search_help_text = "An event's id, a subscription's, or who did it"
    ordering = ("-id",)
    list_display_links = None
    show_full_result_count = False

    @admin.display(description="at (UTC)", ordering="at")
    def when(self, act: OperatorAct) -> str:
        return _second(act.at)

    @admin.display(description="event")
    def event(self, act: OperatorAct) -> str:
        return harmless(f"{act.type} {act.event_id}".strip() or act.fingerprint)


def _second(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _shown(group: set_aside_groups.Group, *, may_work: bool) -> dict[str, Any]:
    """A group as a row of the list."""
    here = {"state__exact": group.state, "fingerprint__exact": group.fingerprint}
    return {
        "group": group,
        "cause": harmless(group.fingerprint),
        "type": harmless(group.example.type) or "unreadable",
        "reason": harmless(set_aside_report.cut(group.example.reason)),
        "messages": f"?{urlencode(here)}",
        "orders": _orders_of(group) if may_work else [],
    }


def _orders_of(group: set_aside_groups.Group) -> list[tuple[str, str]]:
    verbs = [verb for verb in ("replay", "discard", "restore") if _fits(verb, group)]
    orders = [(VERBS[v], _address(v, group=group.fingerprint, state=group.state)) for v in verbs]
    if group.state in STATES["discard"]:
        orders.append((VERBS["go-on"], _address("go-on", group=group.fingerprint)))
    return orders


def _fits(verb: str, one: SetAside | set_aside_groups.Group) -> bool:
    return one.state in STATES[verb]


def _meant(verb: str, choice: Choice) -> dict[str, Any]:
    """How many messages an order is for, and which, in words; nothing if there are none such."""
    try:
        rows = choice.rows("discard" if verb == "go-on" else verb)
    except MessagingError as error:
        return {"count": 0, "none": harmless(str(error))}
    cause = f" with the cause {choice.group}" if choice.group else ""
    return {"count": rows.count(), "cause": harmless(cause), "example": rows.first()}


def _address(verb: str, **choice: str | int) -> str:
    return f"{reverse('admin:messaging_setaside_order', args=[verb])}?{urlencode(choice)}"
