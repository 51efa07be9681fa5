"""What is sent to webhook endpoints, in Django's admin: looked at, and sent again.

To look, a user needs the permission `view_endpoint`; to resend, `work_on_endpoint` as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.http import HttpRequest, HttpResponse

from admit_one.webhooks import by_hand
from admit_one.webhooks.endpoints import NotPossible
from admit_one.webhooks.models import Delivery, Endpoint

from . import webhook_pages as pages
from .deciding import ReasonForm, operator
from .lists import CappedPaginator, ReadOnly, check_selection, utc
from .webhook_pages import OnePage

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
class DeliveryAdmin(OnePage, ReadOnly, DeliveryBase):
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

    def context(self, row: Delivery, *, may_work: bool) -> dict[str, Any]:
        return pages.of_delivery(row, may_work=may_work)

    def decide(self, request: HttpRequest, row: Delivery, reason: str) -> None:
        _resend(request, [row.pk], reason)


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
