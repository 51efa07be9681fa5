"""What the pages on which an operator decides something have in common."""

from __future__ import annotations

from django import forms
from django.http import HttpRequest, QueryDict


def reason_field(*, required: bool) -> forms.CharField:
    return forms.CharField(
        required=required,
        max_length=2000,
        widget=forms.Textarea({"rows": 3, "cols": 60}),
        help_text="Kept forever, with your name.",
    )


class ReasonForm(forms.Form):
    """Why somebody decides something; required."""

    reason = reason_field(required=True)


def posted(request: HttpRequest) -> QueryDict | None:
    """The data of a form that was sent."""
    return request.POST if request.method == "POST" else None


def operator(request: HttpRequest) -> str:
    """Who decides, as acts name it."""
    return f"{request.user.get_username()} (admin)"
