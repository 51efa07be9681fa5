"""Backends of Django's mails beside our own SMTP: what each can tell, and what each needs."""

from __future__ import annotations

from typing import Any

from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend

DJANGO = "django.core.mail.backends"
DELIVER_NOTHING = {f"{DJANGO}.{name}.EmailBackend" for name in ("console", "dummy", "locmem")} | {
    f"{DJANGO}.filebased.EmailBackend"
}
"""They take mails and give them to nobody."""

SMTP = f"{DJANGO}.smtp.EmailBackend"
KNOWN = {"mailgun", "postmark"}
"""The providers of Anymail that give back, with each report, what was noted with its mail, and
that leave links alone when they are asked to."""
KEEPS_OUR_ID = {"postmark": {"X-PM-KeepID": "true"}}
"""What makes a provider keep our Message-ID, which it replaces otherwise."""
NOTE = "mail"
"""Under which name our Message-ID is noted with a mail."""


def load(path: str) -> BaseEmailBackend:
    """A backend of this path. Raises whatever is wrong with it or with its settings."""
    backend: BaseEmailBackend = get_connection(path)
    return backend


def why_it_cannot_tell(path: str) -> str:
    """What it cannot tell of mails that are handed over; empty if it can tell all."""
    if path == SMTP:
        return (
            "if a connection breaks, nobody knows whether a mail was sent, so MAIL_WHEN_UNKNOWN "
            "decides; without EMAIL_BACKEND, our own SMTP can tell in most cases"
        )
    if provider_of(path) and hasattr(load(path), "create_session"):  # it speaks HTTP
        return ""
    return (
        "its errors do not say whether the mail was sent, so after each of them "
        "MAIL_WHEN_UNKNOWN decides"
    )


def provider_of(path: str) -> str:
    """The provider of a backend of Anymail, such as `postmark`; empty for any other."""
    parts = path.split(".")
    return parts[2] if parts[:2] == ["anymail", "backends"] and len(parts) == 4 else ""


def prepare(message: Any, path: str) -> EmailMultiAlternatives:
    """Let the provider keep our Message-ID, give it back with its reports, and track nobody.

    A link that it rewrote would lead through its own server, with the code that may be in it.
    """
    prepared: EmailMultiAlternatives = message
    provider, message_id = provider_of(path), message.extra_headers["Message-ID"]
    prepared.extra_headers.update(KEEPS_OUR_ID.get(provider, {}))
    if provider in KNOWN:
        message.metadata = {NOTE: message_id}
        message.track_opens = message.track_clicks = False
    return prepared
