"""Set-aside messages in Django's admin: the same groups, stories and verbs as on the command line.

To look, a user needs the permission `view_setaside`; to act, `work_on_setaside` as well.
Nothing is edited or deleted here; every action is kept as an `Act`, with the login name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models.fields.json import KT
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.http import urlencode

from admit_one.acts.models import Act
from admit_one.masking import harmless, mask
from admit_one.messaging.models import SetAside
from admit_one.messaging.set_aside import groups as set_aside_groups
from admit_one.messaging.set_aside import report

from . import order_page
from .lists import CappedPaginator, ReadOnly, check_selection, filter_by, utc
from .order_page import VERBS, address

# These register themselves, if there is something for them to show.
if apps.is_installed("admit_one.web"):
    from . import api_key_admin  # noqa: F401
if apps.is_installed("admit_one.webhooks"):
    from . import delivery_admin, endpoint_admin  # noqa: F401

if TYPE_CHECKING:
    from django.db.models import QuerySet

    SetAsideBase = admin.ModelAdmin[SetAside]
    ActBase = admin.ModelAdmin[Act]
else:
    SetAsideBase = ActBase = admin.ModelAdmin


@admin.register(SetAside)
class SetAsideAdmin(ReadOnly, SetAsideBase):
    list_display = ("id", "standing", "event", "about", "why", "attempts", "since")
    list_filter = ("state", filter_by("type"), "suspect")
    search_fields = ("event_id__exact", "subject__exact")
    search_help_text = "An event's id, or its subject"
    ordering = ("-id",)
    list_per_page = 100
    show_full_result_count = False
    paginator = CappedPaginator
    lookups = ("state__exact", "type", "suspect__exact", "fingerprint__exact")
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
        return harmless(report.cut(f"{row.error}: {row.reason}"))

    @admin.display(description="since (UTC)", ordering="created_at")
    def since(self, row: SetAside) -> str:
        return utc(row.created_at)

    @admin.action(description="Replay the selected messages …", permissions=["work"])
    def replay_chosen(self, request: HttpRequest, rows: QuerySet[SetAside]) -> HttpResponse:
        return self._order_of("replay", request, rows)

    @admin.action(description="Discard the selected messages …", permissions=["work"])
    def discard_chosen(self, request: HttpRequest, rows: QuerySet[SetAside]) -> HttpResponse:
        return self._order_of("discard", request, rows)

    @admin.action(description="Restore the selected messages …", permissions=["work"])
    def restore_chosen(self, request: HttpRequest, rows: QuerySet[SetAside]) -> HttpResponse:
        return self._order_of("restore", request, rows)

    def has_work_permission(self, request: HttpRequest) -> bool:
        """Whether this operator may act, not only look."""
        may_work = request.user.has_perm("messaging.work_on_setaside")
        return may_work and self.has_view_permission(request)

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
        check_selection(request, self.opts.pk)
        may_work = self.has_work_permission(request)
        groups = set_aside_groups.groups()
        dead = any(group.state == SetAside.State.DEAD for group in groups)
        context = {
            "title": "Set-aside messages",
            "groups": [_group_row(group, may_work=may_work) for group in groups],
            "replay_all": address("replay", all=1) if dead and may_work else "",
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
        verbs = order_page.verbs_for(row.state) if self.has_work_permission(request) else []
        context = {
            **self._context(request),
            "title": f"Message {row.id}",
            "facts": {name: harmless(value) for name, value in report.facts(row).items()},
            "story": [(at, harmless(what)) for at, what in report.story(row)],
            "traceback": mask(row.traceback),
            "orders": [(VERBS[verb], address(verb, ids=row.id)) for verb in verbs],
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/messaging/setaside/message.html", context)

    def order_view(self, request: HttpRequest, verb: str) -> HttpResponse:
        """The page of an order, and of its result."""
        if not self.has_work_permission(request):
            raise PermissionDenied
        return order_page.answer(request, verb, self._context(request))

    def _order_of(
        self, verb: str, request: HttpRequest, rows: QuerySet[SetAside]
    ) -> HttpResponseRedirect:
        ids = list(rows.order_by("id").values_list("id", flat=True)[: self.list_per_page + 1])
        if len(ids) > self.list_per_page:
            text = "Too many to select one by one: use the links of their group in the table."
            messages.warning(request, text)
            return redirect("admin:messaging_setaside_changelist")
        return redirect(address(verb, ids=",".join(map(str, ids))))

    def _context(self, request: HttpRequest) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "opts": self.opts}


@admin.register(Act)
class ActAdmin(ReadOnly, ActBase):
    list_display = ("when", "area", "action", "target", "who", "what", "result", "why")
    fields = list_display
    readonly_fields = fields
    lookups = ("area", "action", "result")
    list_filter = (filter_by("area"), filter_by("action"), filter_by("result"))
    search_fields = ("subject", "by")  # shows the field for the search, which is ours
    search_help_text = "An event's id or subject, or who did it"
    ordering = ("-id",)
    list_display_links = None

    def get_search_results(
        self,
        request: HttpRequest,  # noqa: ARG002 (Django's)
        queryset: QuerySet[Act],
        search_term: str,
    ) -> tuple[QuerySet[Act], bool]:
        """Exact matches only, of one kind: each is found by an index of its own."""
        if not (term := search_term.strip()):
            return queryset, False
        acts = queryset.alias(event_id=KT("facts__event_id"))
        for column in ("event_id", "subject"):
            if (matches := acts.filter(**{column: term})).exists():
                return matches, False
        return acts.filter(by=term), False

    show_full_result_count = False
    paginator = CappedPaginator

    @admin.display(description="at (UTC)", ordering="at")
    def when(self, act: Act) -> str:
        return utc(act.at)

    @admin.display(description="to what")
    def what(self, act: Act) -> str:
        facts = (act.facts.get("type", ""), act.facts.get("event_id", ""))
        return harmless(" ".join(facts).strip() or act.group)

    @admin.display(description="by")
    def who(self, act: Act) -> str:
        return harmless(act.by)

    @admin.display(description="reason")
    def why(self, act: Act) -> str:
        return harmless(act.reason)


def _group_row(group: set_aside_groups.Group, *, may_work: bool) -> dict[str, Any]:
    """A group as a row of the list."""
    here = {"state__exact": group.state, "fingerprint__exact": group.fingerprint}
    return {
        "group": group,
        "cause": harmless(group.fingerprint),
        "type": harmless(group.example.type) or "unreadable",
        "reason": harmless(report.cut(group.example.reason)),
        "messages": f"?{urlencode(here)}",
        "orders": order_page.orders_of(group) if may_work else [],
    }
