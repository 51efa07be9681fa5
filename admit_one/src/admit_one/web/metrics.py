"""Metrics of web processes: requests by route, how long they took, and which were refused."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from prometheus_client import Counter, Histogram

from admit_one import metrics as _  # noqa: F401 (without a second series for each counter)

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

REQUESTS = Histogram(
    "web_request_seconds",
    "Seconds from a whole request to its response, by route, method and class of the status.",
    ["route", "method", "status"],
    buckets=SECONDS,
)

REFUSED = Counter(
    "web_refused",
    "Requests refused for their API key, or for too many of them.",
    ["reason"],
)

GetResponse = Callable[[HttpRequest], HttpResponseBase]


def measured(get_response: GetResponse) -> GetResponse:
    """Middleware. The labels have few values: names of URL patterns, never what a client sends."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        began = time.perf_counter()
        response = get_response(request)
        match = request.resolver_match
        route = match.view_name if match else "none"
        method = request.method if request.method in METHODS else "other"
        status = f"{response.status_code // 100}xx"
        REQUESTS.labels(route, method, status).observe(time.perf_counter() - began)
        return response

    return middleware
