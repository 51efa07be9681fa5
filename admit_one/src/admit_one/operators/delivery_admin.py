"""What is sent to webhook endpoints, in Django's admin: looked at, and sent again.

To look, a user needs the permission `view_endpoint`; to resend, `work_on_endpoint` as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect

from admit_one.webhooks import by_hand
from admit_one.webhooks.endpoints import NotPossible
from admit_one.webhooks.models import Delivery, Endpoint

from . import webhook_pages as pages
from .deciding import ReasonForm, operator, posted
from .lists import CappedPaginator, ReadOnly, check_selection, utc

if TYPE_CHECKING:
    from django.db.models import QuerySet

    DeliveryBase = admin.ModelAdmin[Delivery]
else:
    DeliveryBase = admin.ModelAdmin

TOO_MANY = (
    "Too many to select: `manage.py webhooks resend --endpoint … --state …` takes any number."
)


class State(admin.SimpleListFilter):
    """By state, of one endpoint: an index finds only these."""

    title = parameter_name = "state"

    def lookups(self, request: HttpRequest, _: Any) -> list[tuple[str, str]]:
        return [(s, s) for s in Delivery.State.values] if pages.OF_ENDPOINT in request.GET else []

    def queryset(self, _: HttpRequest, rows: QuerySet[Delivery]) -> QuerySet[Delivery]:
        return rows.filter(state=self.value()) if self.value() else rows


@admin.register(Delivery)
class DeliveryAdmin(ReadOnly, DeliveryBase):
    list_display = ("id", "type", "standing", "last", "attempts", "written", "to")
    list_filter = (State,)
    lookups = ("state", pages.OF_ENDPOINT)
    search_fields = ("subject",)  # shows the field for the search, which is ours
    search_help_text = "A webhook-id, or the id of what it is about"
    list_select_related = ("endpoint",)
    list_per_page = 100
    sortable_by = ()
    show_full_result_count = False
    paginator = CappedPaginator
    actions = ("resend_chosen",)

    @admin.display(description="state")
    def standing(self, delivery: Delivery) -> str:
        return pages.standing(delivery)

    @admin.display(description="last attempt")
    def last(self, delivery: Delivery) -> str:
        return pages.last_attempt(delivery)

    @admin.display(description="written (UTC)")
    def written(self, delivery: Delivery) -> str:
        return utc(delivery.created_at)

    @admin.display(description="to")
    def to(self, delivery: Delivery) -> str:
        return pages.receiver(delivery.endpoint)

    @admin.action(description="Resend the selected webhooks …", permissions=["work"])
    def resend_chosen(self, request: HttpRequest, rows: QuerySet[Delivery]) -> HttpResponse | None:
        """Ask for the reason; with one, send them again."""
        ids = list(rows.values_list("pk", flat=True)[: self.list_per_page + 1])
        if len(ids) > self.list_per_page:
            messages.warning(request, TOO_MANY)
            return None
        form = ReasonForm(request.POST if "reason" in request.POST else None)
        if form.is_valid():
            _resend(request, ids, form.cleaned_data["reason"])
            return None
        context = pages.of_several(ids) | {"form": form, "checkbox": ACTION_CHECKBOX_NAME}
        return pages.answer(self, request, context)

    def has_view_permission(self, request: HttpRequest, _: Any = None) -> bool:
        return pages.may_look(request)

    def has_work_permission(self, request: HttpRequest) -> bool:
        """Whether this operator may resend, not only look."""
        return pages.may_work(request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        # By their ids, which are few and go within an hour: a join would read all to count some.
        deleted = Endpoint.objects.filter(deleted_at__isnull=False).values_list("pk", flat=True)
        kept = super().get_queryset(request).exclude(endpoint__in=list(deleted))
        return kept.defer("body", "endpoint__secret", "endpoint__previous_secret")

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """The newest first; each by an index."""
        return ("-created_at", "-pk") if pages.OF_ENDPOINT in request.GET else ("-pk",)

    def get_search_results(
        self, _: HttpRequest, queryset: QuerySet[Delivery], search_term: str
    ) -> tuple[QuerySet[Delivery], bool]:
        """Exact matches only, of one kind: each is found by an index of its own."""
        if not (term := search_term.strip()):
            return queryset, False
        if (row_id := pages.uuid_in(term)) is None:
            return queryset.none(), False
        for column in ("pk", "subject"):
            if (matches := queryset.filter(**{column: row_id})).exists():
                return matches, False
        return queryset.none(), False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        check_selection(request, self.opts.pk)
        title = {"title": "Webhook deliveries"}
        return super().changelist_view(request, title | (extra_context or {}))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",  # noqa: ARG002 (Django's)
        extra_context: dict[str, Any] | None = None,  # noqa: ARG002 (Django's)
    ) -> HttpResponse:
        """All that is known of one delivery, and a button to resend it."""
        if not pages.may_look(request):
            raise PermissionDenied
        delivery = self.get_object(request, object_id)
        if delivery is None:
            raise Http404(f"no webhook {object_id}")
        form = ReasonForm(posted(request))
        if request.method == "POST":
            if not pages.may_work(request):
                raise PermissionDenied
            if form.is_valid():
                _resend(request, [delivery.pk], form.cleaned_data["reason"])
                return HttpResponseRedirect(request.path)
        context = pages.of_delivery(delivery, may_work=pages.may_work(request)) | {"form": form}
        return pages.answer(self, request, context)


def _resend(request: HttpRequest, ids: Sequence[UUID], reason: str) -> None:
    sent = 0
    for row_id in ids:
        try:
            by_hand.resend(row_id, by=operator(request), reason=reason)
        except NotPossible as error:  # it is gone meanwhile
            messages.error(request, str(error))
        else:
            sent += 1
    messages.success(request, f"Due again: {sent}.")
