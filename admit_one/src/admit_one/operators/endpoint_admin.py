"""Webhook endpoints of all clients in Django's admin: whether they fail, and what to do about it.

To look, a user needs the permission `view_endpoint`; to disable and enable, `work_on_endpoint` as
well. Of a URL only the host is shown: the rest may be a secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse

from admit_one.masking import harmless
from admit_one.webhooks import by_hand
from admit_one.webhooks.endpoints import NotPossible
from admit_one.webhooks.models import Endpoint

from . import webhook_pages as pages
from .deciding import operator
from .lists import CappedPaginator, ReadOnly
from .webhook_pages import OnePage

if TYPE_CHECKING:
    from django.db.models import QuerySet

    EndpointBase = admin.ModelAdmin[Endpoint]
else:
    EndpointBase = admin.ModelAdmin


class Standing(admin.SimpleListFilter):
    """Finds the endpoints that somebody should look at."""

    title = parameter_name = "state"

    def lookups(self, *_: Any) -> list[tuple[str, str]]:
        return [("enabled", "enabled"), ("failing", "failing"), ("disabled", "disabled")]

    def queryset(self, _: HttpRequest, rows: QuerySet[Endpoint]) -> QuerySet[Endpoint]:
        match self.value():
            case "enabled":
                return rows.filter(disabled_at__isnull=True)
            case "failing":
                return rows.filter(disabled_at__isnull=True, failing_since__isnull=False)
            case "disabled":
                return rows.filter(disabled_at__isnull=False)
        return rows


@admin.register(Endpoint)
class EndpointAdmin(OnePage, ReadOnly, EndpointBase):
    list_display = ("where", "standing", "owner", "use", "types")
    list_filter = (Standing, "test")
    lookups = ("state", "test__exact")
    search_fields = ("client",)  # shows the field for the search, which is ours
    search_help_text = "An endpoint's id, or its client"
    sortable_by = ()
    show_full_result_count = False
    paginator = CappedPaginator

    @admin.display(description="host")
    def where(self, endpoint: Endpoint) -> str:
        return harmless(by_hand.where(endpoint))

    @admin.display(description="client")
    def owner(self, endpoint: Endpoint) -> str:
        return harmless(endpoint.client)

    @admin.display(description="state")
    def standing(self, endpoint: Endpoint) -> str:
        return harmless(by_hand.standing(endpoint))

    @admin.display(description="for")
    def use(self, endpoint: Endpoint) -> str:
        return "test" if endpoint.test else "use"

    @admin.display(description="events")
    def types(self, endpoint: Endpoint) -> str:
        return " ".join(endpoint.events)

    def get_queryset(self, _: HttpRequest) -> QuerySet[Endpoint]:
        return by_hand.existing().defer("secret", "previous_secret")

    def get_ordering(self, _: HttpRequest) -> tuple[str, ...]:
        return ("client", "created_at", "pk")

    def get_search_results(
        self, _: HttpRequest, queryset: QuerySet[Endpoint], search_term: str
    ) -> tuple[QuerySet[Endpoint], bool]:
        term = search_term.strip()
        row_id = pages.uuid_in(term)
        named = Q(client=term) if row_id is None else Q(pk=row_id)
        return queryset.filter(named) if term else queryset, False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        title = {"title": "Webhook endpoints"}
        return super().changelist_view(request, title | (extra_context or {}))

    def context(self, row: Endpoint, *, may_work: bool) -> dict[str, Any]:
        return pages.of_endpoint(row, may_work=may_work)

    def decide(self, request: HttpRequest, row: Endpoint, reason: str) -> None:
        """Do what the pressed button says: the page may be older than what others have decided."""
        button, by = request.POST.get("do"), operator(request)
        try:
            if button == "Enable":
                by_hand.enable(row.pk, by=by, reason=reason)
                messages.success(request, "It is enabled.")
            elif button == "Disable":
                by_hand.disable(row.pk, by=by, reason=reason)
                messages.success(request, "It is disabled.")
        except NotPossible as error:
            messages.error(request, str(error))
