"""Which way mails are handed over: by our SMTP, or by the backend that EMAIL_BACKEND names."""

from __future__ import annotations

from django.conf import settings

from .session import Session


def session() -> Session:
    """A session of the way that is set. Raises `ServerUnavailable`."""
    if settings.MAIL_BACKEND:
        from .backend_session import BackendSession  # noqa: PLC0415 (with what it needs)

        return BackendSession(settings.MAIL_BACKEND)
    from .smtp import SmtpSession  # noqa: PLC0415

    return SmtpSession()
