"""Authenticates `Authorization: Bearer <API key>`, and counts the requests of each key."""

from __future__ import annotations

from typing import cast

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

from admit_one.web.limits import counting
from admit_one.web.models import ApiKey

from .cache import keys

REALM = 'Bearer realm="api"'


class MissingScope(PermissionDenied):
    """The key is valid, but may not do this."""

    default_code = "missing_scope"

    def __init__(self, scope: str) -> None:
        super().__init__(f"expected an API key with the scope {scope}")
        self.auth_header = f'{REALM}, error="insufficient_scope", scope="{scope}"'  # RFC 6750, 3.1


class ApiKeyAuthentication(BaseAuthentication):
    """The request's user is the API key; what it creates belongs to the key's client."""

    def authenticate(self, request: Request) -> tuple[ApiKey, ApiKey]:
        """Raises `AuthenticationFailed`, with the same text whatever is wrong.

        Raises `TooManyRequests` for a key, or an address without a valid key, over its limit.
        """
        scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        key = keys.valid(token) if scheme.lower() == "bearer" else None
        if key is None:
            counting.count_failure(request)
            raise AuthenticationFailed("expected a valid API key: Authorization: Bearer <key>")
        counting.count_request(request, key)
        return key, key

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002 (DRF's signature)
        """For `WWW-Authenticate`. Without it DRF would answer 403."""
        return REALM


def key_of(request: Request) -> ApiKey:
    """The key that authenticated the request. Only read it: other threads use it, too."""
    return cast("ApiKey", request.auth)


def client_of(request: Request) -> str:
    """The name of the client whose key authenticated the request."""
    return key_of(request).client
