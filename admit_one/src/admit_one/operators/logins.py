"""Bounds for guessing passwords, and a log of who logs in to the pages for operators."""

from __future__ import annotations

from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from axes.signals import user_locked_out
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.db.models import Sum
from django.dispatch import receiver
from django.http import HttpRequest

from admit_one.logs import EventLogger

from .settings import AXES_FAILURE_LIMIT

logger = EventLogger(__name__)

LIMITS = {"name and address": AXES_FAILURE_LIMIT, "name": 20, "address": 20}
"""Failures in an hour after which each is locked, in the order of AXES_LOCKOUT_PARAMETERS.

From one address one password can be tried on many names, and on one name from many addresses.
"""

UNKNOWN = "an unknown name"
"""Instead of what somebody typed: it is often the password."""


class LoginLimits(AxesDatabaseHandler):  # type: ignore[misc]  # axes has no types
    """Counts failures for each of `LIMITS`; axes knows one limit for all."""

    def get_failures(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> int:
        counts = [
            attempts.aggregate(failures=Sum("failures_since_start"))["failures"] or 0
            for attempts in self.get_user_attempts(request, credentials)
        ]
        shares = zip(counts, LIMITS.values(), strict=True)
        return int(max(count * AXES_FAILURE_LIMIT // limit for count, limit in shares))


@receiver(user_logged_in)
def _logged_in(request: HttpRequest, user: Any, **_: Any) -> None:
    logger.info(
        "operator_logged_in",
        "{name} logged in from {address}",
        name=user.get_username(),
        address=_address(request),
    )


@receiver(user_login_failed)
def _failed(credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    logger.warning(
        "operator_login_failed",
        "a login as {name} from {address} failed",
        name=_name(credentials.get("username")),
        address=_address(request),
    )


@receiver(user_locked_out)
def _locked_out(request: HttpRequest, username: str | None = None, **_: Any) -> None:
    logger.warning(
        "operator_login_locked",
        "logins as {name} from {address} are locked after too many failures",
        name=_name(username),
        address=_address(request),
    )


def _name(typed: str | None) -> str:
    users = get_user_model()._default_manager  # noqa: SLF001 (Django's documented way)
    return typed if typed and users.filter(username=typed).exists() else UNKNOWN


def _address(request: HttpRequest | None) -> str:
    return str(request.META.get("REMOTE_ADDR") or "?") if request is not None else "?"
