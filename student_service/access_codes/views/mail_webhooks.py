"""The webhooks of mail providers: Anymail's views, behind our own rules.

They carry no API key, but a login and, where the provider signs, a signature. Nothing here shows
what a request contained.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from admit_one.logs import EventLogger
from admit_one.masking import mask
from admit_one.web.limits import counting
from admit_one.web.problems import problem
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path

from access_codes.mails import reports

logger = EventLogger(__name__)

LOGIN = 'Basic realm="webhooks"'


def addresses() -> list[URLPattern]:
    """Those of the providers that are set; none of them costs a process anything otherwise."""
    return [
        path(f"v1/webhooks/mail/{name}", _view(name), name=f"mail_webhook_{name}")
        for name in settings.MAIL_WEBHOOKS
    ]


def _view(name: str) -> Callable[[HttpRequest], HttpResponse]:
    # With the extra, which needs 10 MB.
    from anymail.webhooks.mailgun import MailgunTrackingWebhookView  # noqa: PLC0415
    from anymail.webhooks.postmark import PostmarkTrackingWebhookView  # noqa: PLC0415

    by_name = {"mailgun": MailgunTrackingWebhookView, "postmark": PostmarkTrackingWebhookView}
    provider = by_name[name]

    def view(request: HttpRequest) -> HttpResponse:
        return _answer(request, provider())

    return view


def _answer(request: HttpRequest, provider: Any) -> HttpResponse:
    if request.method != "POST":
        return problem(
            request, 405, "method_not_allowed", "expected one of POST", headers={"Allow": "POST"}
        )
    if request.content_type != "application/json":
        return problem(request, 415, "unsupported_media_type", "expected application/json")
    try:
        _ = request.body
    except RequestDataTooBig:
        return problem(request, 413, "too_large", "the body is too large")
    if not _is_trusted(request, provider):
        return _refused(request)
    try:
        events = provider.parse_events(request)
    except Exception as error:  # noqa: BLE001 (whatever another's parser trips over)
        logger.warning(
            "mail_report_unreadable",
            "a report of {provider} cannot be read: {error}",
            provider=provider.esp_name, error=type(error).__name__,
        )  # fmt: skip
        return problem(request, 400, "malformed", "the report cannot be read")
    return _recorded(request, events)


def _is_trusted(request: HttpRequest, provider: Any) -> bool:
    try:
        provider.run_validators(request)
    except Exception:  # noqa: BLE001 (also for a body in which its signature cannot be found)
        return False
    return True


def _refused(request: HttpRequest) -> HttpResponse:
    try:
        counting.count_failure(request)  # type: ignore[arg-type]
    except counting.TooManyRequests as error:
        return problem(
            request, 429, "rate_limited", str(error), headers={"Retry-After": error.retry_after}
        )
    expected = "expected the login and the signature of the provider"
    return problem(request, 401, "not_authenticated", expected, headers={"WWW-Authenticate": LOGIN})


def _recorded(request: HttpRequest, events: Any) -> HttpResponse:
    try:
        reports.record(events)
    except (DatabaseError, InterfaceError) as error:
        text = "a report of a provider is refused, because the database is unavailable: {error}"
        logger.warning("mail_report_not_recorded", text, error=mask(str(error)).strip())
        return problem(request, 503, "unavailable", "try again", headers={"Retry-After": "2"})
    return HttpResponse(status=204)
