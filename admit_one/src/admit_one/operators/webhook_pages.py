"""The pages of one webhook endpoint and of one delivery: what is known, and what can be done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import urlencode

from admit_one.acts.models import Act
from admit_one.masking import harmless
from admit_one.webhooks import by_hand
from admit_one.webhooks.endpoints import AREA
from admit_one.webhooks.models import Delivery, Endpoint

from .deciding import ReasonForm, posted
from .lists import MAX_COUNTED, utc

TEMPLATE = "admin/webhooks/page.html"

OF_ENDPOINT = "endpoint__id__exact"
"""The parameter of a list of deliveries that names their endpoint."""

LATEST = 20
"""Decisions that a page shows."""

DISABLE = (
    "Nothing is sent to it until somebody enables it: an operator, or its client. "
    "What waits is kept; what happens meanwhile is not sent to it later."
)
ENABLE = "What waits for it is sent, and its failures are forgotten."
RESEND = (
    "It is sent now, with the same webhook-id and body, and tried for three days. "
    "A receiver that keeps the ids handles nothing twice."
)


def may_look(request: HttpRequest) -> bool:
    return request.user.has_perm("webhooks.view_endpoint")


def may_work(request: HttpRequest) -> bool:
    return may_look(request) and request.user.has_perm("webhooks.work_on_endpoint")


def uuid_in(text: str) -> UUID | None:
    """The UUID that was typed; none if it is no UUID."""
    try:
        return UUID(text)
    except ValueError:
        return None


class OnePage:
    """Of an admin whose rows have one page each: what is known, and a button to decide something.

    It has `context(row, may_work=…)`, what that page shows, and `decide(request, row, reason)`.
    """

    def has_view_permission(self, request: HttpRequest, _: Any = None) -> bool:
        return may_look(request)

    def has_work_permission(self, request: HttpRequest) -> bool:
        """Whether this operator may decide, not only look."""
        return may_work(request)

    def change_view(
        self: Any,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",  # noqa: ARG002 (Django's)
        extra_context: dict[str, Any] | None = None,  # noqa: ARG002 (Django's)
    ) -> HttpResponse:
        """Ask for the reason; with one, decide."""
        if not may_look(request):
            raise PermissionDenied
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404(f"no {self.opts.verbose_name} {object_id}")
        form = ReasonForm(posted(request))
        if request.method == "POST":
            if not may_work(request):
                raise PermissionDenied
            if form.is_valid():
                self.decide(request, row, form.cleaned_data["reason"])
                return HttpResponseRedirect(request.path)
        context = self.context(row, may_work=may_work(request)) | {"form": form}
        return answer(self, request, context)


def answer(model_admin: Any, request: HttpRequest, context: Mapping[str, Any]) -> TemplateResponse:
    site = model_admin.admin_site.each_context(request)
    return TemplateResponse(request, TEMPLATE, {**site, "opts": model_admin.opts, **context})


def of_endpoint(endpoint: Endpoint, *, may_work: bool) -> dict[str, Any]:
    button, explained = ("Enable", ENABLE) if endpoint.disabled_at else ("Disable", DISABLE)
    return {
        "title": f"Webhook endpoint {endpoint.pk}",
        "facts": {
            "host": harmless(by_hand.where(endpoint)),
            "client": harmless(endpoint.client),
            "for": "test" if endpoint.test else "use",
            "events": " ".join(endpoint.events),
            "state": harmless(by_hand.standing(endpoint)),
            "failed attempts in a row": endpoint.failures,
            "nothing is sent before (UTC)": utc(endpoint.resume_at),
            "created (UTC)": utc(endpoint.created_at),
            "two secrets sign until (UTC)": utc(endpoint.previous_until),
        },
        "links": [*_lists_of(endpoint)],
        "acts": acts(endpoint.pk),
        "button": button if may_work else "",
        "explained": explained,
    }


def of_delivery(delivery: Delivery, *, may_work: bool) -> dict[str, Any]:
    endpoint = delivery.endpoint
    was_taken = "It was delivered already. " if delivery.state == Delivery.State.DELIVERED else ""
    return {
        "title": f"Webhook {delivery.pk}",
        "facts": {
            "type": delivery.type,
            "about": delivery.subject or "–",
            "to": receiver(endpoint),
            "state": standing(delivery),
            "attempts": delivery.attempts,
            "last attempt": last_attempt(delivery),
            "written (UTC)": utc(delivery.created_at),
            "finished (UTC)": utc(delivery.finished_at),
        },
        "links": [("Its endpoint", reverse("admin:webhooks_endpoint_change", args=[endpoint.pk]))],
        "acts": acts(delivery.pk),
        "button": "Resend" if may_work else "",
        "explained": was_taken + RESEND,
    }


def of_several(ids: Sequence[UUID]) -> dict[str, Any]:
    """The page that asks for the reason, once for all of these deliveries."""
    return {
        "title": f"Resend {len(ids)} webhooks",
        "ids": ids,
        "button": "Resend",
        "explained": RESEND,
    }


def receiver(endpoint: Endpoint) -> str:
    return harmless(f"{endpoint.client} at {by_hand.where(endpoint)}")


def standing(delivery: Delivery) -> str:
    """Its state, and what it waits for."""
    if delivery.state != Delivery.State.PENDING:
        return str(delivery.state)
    if delivery.endpoint.disabled_at is not None:
        return "pending: its endpoint is disabled"
    return f"pending, due at {utc(delivery.next_attempt_at)}"


def last_attempt(delivery: Delivery) -> str:
    """The status of the answer, and what was wrong."""
    status = "" if delivery.last_status is None else str(delivery.last_status)
    return harmless(" ".join(filter(None, (status, delivery.last_error)))) or "–"


def acts(row_id: UUID) -> list[tuple[str, str]]:
    """What people have done to an endpoint or a delivery, the latest first."""
    latest = Act.objects.filter(area=AREA, target=str(row_id)).order_by("-id")[:LATEST]
    return [(utc(act.at), _in_words(act)) for act in latest]


def _in_words(act: Act) -> str:
    because = f", because: {act.reason}" if act.reason else ""
    return harmless(f"{act.action} by {act.by}{because}")


def _lists_of(endpoint: Endpoint) -> Iterator[tuple[str, str]]:
    """The lists of its deliveries: names with counts, and URLs."""
    url, of = reverse("admin:webhooks_delivery_changelist"), {OF_ENDPOINT: str(endpoint.pk)}
    yield "All deliveries", f"{url}?{urlencode(of)}"
    for state in (Delivery.State.PENDING, Delivery.State.FAILED):
        rows = endpoint.deliveries.filter(state=state)
        yield f"{_counted(rows)} {state}", f"{url}?{urlencode(of | {'state': str(state)})}"


def _counted(rows: QuerySet[Delivery]) -> str:
    counted = rows[: MAX_COUNTED + 1].count()
    return f"over {MAX_COUNTED:,}" if counted > MAX_COUNTED else f"{counted:,}"
