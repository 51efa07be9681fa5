"""API keys in Django's admin: who has one, what for, and when it was last used.

To look, a user needs the permission `view_apikey`; to create and revoke, `work_on_apikey` as well.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.cache import add_never_cache_headers

from admit_one.masking import harmless
from admit_one.web.keys import issuing
from admit_one.web.keys.cache import KEPT
from admit_one.web.keys.scopes import SCOPES
from admit_one.web.models import ApiKey

from .deciding import operator, posted, reason_field
from .lists import CappedPaginator, ReadOnly

if TYPE_CHECKING:
    ApiKeyBase = admin.ModelAdmin[ApiKey]
else:
    ApiKeyBase = admin.ModelAdmin

CREATE, KEY = "admin/web/apikey/create.html", "admin/web/apikey/key.html"


class CreateForm(forms.Form):
    """What a new key is for; `issuing` checks it."""

    name = forms.CharField(
        label="Client",
        max_length=64,
        help_text=f"It owns what its keys create: {issuing.SPELLING}.",
    )
    scopes = forms.MultipleChoiceField(
        choices=[(scope, f"{scope}: {does}") for scope, does in SCOPES.items()],
        widget=forms.CheckboxSelectMultiple,
    )
    expires = forms.DateField(
        required=False,
        input_formats=["%Y-%m-%d"],
        widget=forms.DateInput({"type": "date"}),
        help_text="The first day (UTC) on which it is no longer accepted; empty: it does not end.",
    )
    test = forms.BooleanField(
        required=False,
        label="For tests of the client",
        help_text="What it creates is marked.",
    )


class RevokeForm(forms.Form):
    reason = reason_field(required=False)


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnly, ApiKeyBase):
    list_display = ("prefix", "owner", "state", "may_do", "use", "ends", "used", "since")
    list_filter = ("test",)
    lookups = ("test__exact",)
    search_fields = ("prefix__exact", "client__exact")
    search_help_text = "A key's prefix, or its client"
    ordering = ("client", "id")
    show_full_result_count = False
    paginator = CappedPaginator

    @admin.display(description="client", ordering="client")
    def owner(self, key: ApiKey) -> str:
        return harmless(key.client)

    @admin.display(description="state")
    def state(self, key: ApiKey) -> str:
        return key.state(timezone.now())

    @admin.display(description="scopes")
    def may_do(self, key: ApiKey) -> str:
        return key.scopes or "none"

    @admin.display(description="for")
    def use(self, key: ApiKey) -> str:
        return "test" if key.test else "use"

    @admin.display(description="expires", ordering="expires_at")
    def ends(self, key: ApiKey) -> str:
        return f"{key.expires_at:%Y-%m-%d}" if key.expires_at else "never"

    @admin.display(description="last use (UTC)", ordering="last_used_at")
    def used(self, key: ApiKey) -> str:
        return _minute(key.last_used_at)

    @admin.display(description="created (UTC)", ordering="created_at")
    def since(self, key: ApiKey) -> str:
        return _minute(key.created_at)

    def has_work_permission(self, request: HttpRequest) -> bool:
        """Whether this operator may create and revoke keys, not only look."""
        may_work = request.user.has_perm("web.work_on_apikey")
        return may_work and self.has_view_permission(request)

    def get_urls(self) -> list[URLPattern]:
        create = self.admin_site.admin_view(self.create_view)
        return [path("create/", create, name="web_apikey_create"), *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {"title": "API keys", "may_work": self.has_work_permission(request)}
        return super().changelist_view(request, context | (extra_context or {}))

    def create_view(self, request: HttpRequest) -> HttpResponse:
        """The page on which a key is created. It shows the new key, this once."""
        if not self.has_work_permission(request):
            raise PermissionDenied
        form = CreateForm(posted(request))
        context = {"title": "Create an API key", "form": form, "key": self._created(request, form)}
        answer = TemplateResponse(request, CREATE, self._context(request) | context)
        add_never_cache_headers(answer)
        return answer

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",  # noqa: ARG002 (Django's)
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """All that is known of one key, and a button to revoke it."""
        key = self.get_object(request, object_id)
        if not self.has_view_permission(request, key):
            raise PermissionDenied
        if key is None:
            raise Http404(f"no key {object_id}")
        may_work = self.has_work_permission(request)
        form = RevokeForm(posted(request))
        if request.method == "POST":
            if not may_work:
                raise PermissionDenied
            if form.is_valid():
                reason = form.cleaned_data["reason"]
                issuing.revoke(key.prefix, by=operator(request), reason=reason)
                key.refresh_from_db()
        context = {
            "title": f"API key {key.prefix}",
            "facts": self._facts(key),
            "may_revoke": may_work and key.revoked_at is None,
            "form": form,
            "seconds": int(KEPT),
        }
        context |= self._context(request) | (extra_context or {})
        return TemplateResponse(request, KEY, context)

    def _created(self, request: HttpRequest, form: CreateForm) -> str:
        """The new key; empty if there is none yet."""
        if not form.is_valid():
            return ""
        given = form.cleaned_data
        try:
            return issuing.issue(
                given["name"],
                given["scopes"],
                expires=given["expires"],
                test=given["test"],
                by=operator(request),
            )
        except issuing.NotIssued as error:
            form.add_error(error.field, str(error))
            return ""

    def _facts(self, key: ApiKey) -> dict[str, str]:
        return {
            "client": self.owner(key),
            "state": self.state(key),
            "scopes": self.may_do(key),
            "for": self.use(key),
            "created (UTC)": self.since(key),
            "expires": self.ends(key),
            "revoked (UTC)": _minute(key.revoked_at),
            "last use (UTC)": self.used(key),
        }

    def _context(self, request: HttpRequest) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "opts": self.opts}


def _minute(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}" if moment else "–"
