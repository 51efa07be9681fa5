"""`ETag` and `If-None-Match`: who has the answer already gets 304, and no body (RFC 9110, 13.1.2).

The tags are strong: the same tag means the same bytes, since it is made of them. It is made with
a key, so that a tag in a log does not let anybody check a guess at what was answered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.http import HttpResponse
from django.utils.crypto import salted_hmac
from django.utils.http import parse_etags, quote_etag
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

EVERY = "*"
COMPRESSED = re.compile('-(gzip|br|zstd)"$')


def answer(request: Request, data: Any, headers: Mapping[str, str]) -> HttpResponse:
    """The response to a GET: `data` as JSON, or 304 if the client's `If-None-Match` names it."""
    body = JSONRenderer().render(data)
    tag = _tag(body)
    known = {_ours(each) for each in parse_etags(request.headers.get("If-None-Match", ""))}
    headers = {**headers, "ETag": tag}
    if not known & {EVERY, tag}:
        return HttpResponse(body, content_type="application/json", headers=headers)
    response = HttpResponse(status=304, headers=headers)
    del response["Content-Type"]
    return response


def _tag(body: bytes) -> str:
    return quote_etag(salted_hmac(__name__, body, algorithm="sha256").hexdigest()[:32])


def _ours(tag: str) -> str:
    """The tag without what a proxy that compresses makes of it: `W/"…"`, or `"…-gzip"` (Apache)."""
    return COMPRESSED.sub('"', tag.removeprefix("W/"))
