"""Whether this process is alive, and whether it can do its work. Details go to the log only.

A health check may know only an address of this process, not its name: any Host is answered.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus

from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.middleware.common import CommonMiddleware

from admit_one.database import outage
from admit_one.masking import mask
from admit_one.processes.announcer import Announcer
from admit_one.processes.health_port import METHODS
from admit_one.processes.pulse import pulse

announcer = Announcer()

PATHS = frozenset({"/health/live", "/health/ready"})

_migrated = False
"""Once true it stays true: new migrations come with new code, in a new process."""


class OwnHosts(CommonMiddleware):
    """Refuses requests for a host that is not in ALLOWED_HOSTS, except health checks."""

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        return None if request.path_info in PATHS else super().process_request(request)

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        """Say the length of the body, but not 0 of a 304: there, it would be that of the 200."""
        if response.status_code == HTTPStatus.NOT_MODIFIED:
            return response
        return super().process_response(request, response)


View = Callable[[HttpRequest], HttpResponseBase]


def _safe_methods_only(view: View) -> View:
    """As on the health port of the other processes."""

    @wraps(view)
    def answer(request: HttpRequest) -> HttpResponseBase:
        if request.method in {"GET", "HEAD"}:
            return view(request)
        if request.method == "OPTIONS":
            return HttpResponse(status=204, headers={"Allow": METHODS})
        return HttpResponse(
            "expected GET or HEAD\n",
            content_type="text/plain",
            status=405,
            headers={"Allow": METHODS},
        )

    return answer


@_safe_methods_only
def live(request: HttpRequest) -> JsonResponse:  # noqa: ARG001 (a view)
    """200 as long as the process answers at all."""
    return JsonResponse({"status": "ok"})


@_safe_methods_only
def ready(request: HttpRequest) -> JsonResponse:  # noqa: ARG001 (a view)
    """200 if the database can be written, has this code's tables and no other keys, else 503."""
    try:
        fault = outage.why_not_writable() or _fault() or "; ".join(pulse.complaints())
    except outage.DATABASE_ERRORS as error:
        fault = mask(str(error)).strip()
    if fault:
        announcer.trouble("not_ready", "not ready: {fault}", fault=fault)
        return JsonResponse({"status": "unavailable"}, status=503)
    announcer.over("ready_again", "ready again")
    return JsonResponse({"status": "ok"})


def why_not_ready() -> str:
    """What keeps this process from its work, for a health port; empty if nothing does.

    Each request there has a thread of its own, so its connection is closed.
    """
    try:
        return outage.why_not_writable() or _fault()
    except outage.DATABASE_ERRORS:  # whose text names hosts
        return "the database is unavailable"
    finally:
        outage.forget_connection()


def _fault() -> str:
    global _migrated  # noqa: PLW0603 (one fact a process)
    if _migrated:
        return ""
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        return f"{len(missing)} migrations are missing: run manage.py migrate"
    _migrated = True
    return ""
