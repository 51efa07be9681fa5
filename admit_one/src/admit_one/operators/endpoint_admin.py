"""Webhook endpoints of all clients in Django's admin: whether they fail, and what to do about it.

To look, a user needs the permission `view_endpoint`; to disable and enable, `work_on_endpoint` as
well. Of a URL only the host is shown: the rest may be a secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect

from admit_one.masking import harmless
from admit_one.webhooks import by_hand
from admit_one.webhooks.endpoints import NotPossible
from admit_one.webhooks.models import Endpoint

from . import webhook_pages as pages
from .deciding import ReasonForm, operator, posted
from .lists import CappedPaginator, ReadOnly

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
class EndpointAdmin(ReadOnly, EndpointBase):
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

    def has_view_permission(self, request: HttpRequest, _: Any = None) -> bool:
        return pages.may_look(request)

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

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",  # noqa: ARG002 (Django's)
        extra_context: dict[str, Any] | None = None,  # noqa: ARG002 (Django's)
    ) -> HttpResponse:
        """All that is known of one endpoint, and a button to disable or enable it."""
        if not pages.may_look(request):
            raise PermissionDenied
        endpoint = self.get_object(request, object_id)
        if endpoint is None:
            raise Http404(f"no endpoint {object_id}")
        form = ReasonForm(posted(request))
        if request.method == "POST":
            if not pages.may_work(request):
                raise PermissionDenied
            if form.is_valid():
                _decide(request, endpoint, form.cleaned_data["reason"])
                return HttpResponseRedirect(request.path)
        context = pages.of_endpoint(endpoint, may_work=pages.may_work(request)) | {"form": form}
        return pages.answer(self, request, context)


def _decide(request: HttpRequest, endpoint: Endpoint, reason: str) -> None:
    """Do what the pressed button says: the page may be older than what others have decided."""
    button, by = request.POST.get("do"), operator(request)
    try:
        if button == "Enable":
            by_hand.enable(endpoint.pk, by=by, reason=reason)
            messages.success(request, "It is enabled.")
        elif button == "Disable":
            by_hand.disable(endpoint.pk, by=by, reason=reason)
            messages.success(request, "It is disabled.")
    except NotPossible as error:
        messages.error(request, str(error))
