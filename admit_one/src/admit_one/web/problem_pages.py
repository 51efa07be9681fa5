"""The pages to which the `type` of a problem leads: one for each code, as plain text.

Each installed app may have a `problems.md` with an entry for each code of its own: a heading of
the second level, and what happened, what to do and an example below it.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from django.apps import apps
from django.http import Http404, HttpResponse
from django.urls import URLPattern, path
from rest_framework.request import Request
from rest_framework.views import APIView

ENTRY = re.compile(r"^## (?P<code>[a-z_]+)\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)


@cache
def entries() -> dict[str, str]:
    """The entry of each code, in Markdown."""
    files = (Path(app.path) / "problems.md" for app in apps.get_app_configs())
    texts = [file.read_text(encoding="utf-8") for file in files if file.exists()]
    return {entry["code"]: entry[0].strip() for text in texts for entry in ENTRY.finditer(text)}


class ProblemPage(APIView):
    """What a code means. Whoever got a problem may read it, also without a key."""

    authentication_classes = ()
    permission_classes = ()
    schema = None

    def get(self, request: Request, code: str) -> HttpResponse:  # noqa: ARG002 (a view)
        if code not in entries():
            raise Http404
        return HttpResponse(f"{entries()[code]}\n", content_type="text/plain; charset=utf-8")


def addresses() -> list[URLPattern]:
    """The page of each code, at the default of PROBLEM_TYPES."""
    return [path("v1/problems/<str:code>", ProblemPage.as_view(), name="problem")]
