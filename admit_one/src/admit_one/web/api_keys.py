"""Authenticates `Authorization: Bearer <API key>`."""

from __future__ import annotations

from typing import cast

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from .models import ApiKey


class ApiKeyAuthentication(BaseAuthentication):
    """The request's user is the API key; what it creates belongs to the key's client."""

    def authenticate(self, request: Request) -> tuple[ApiKey, ApiKey]:
        """Raises `AuthenticationFailed`, with the same text whatever is wrong."""
        scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        key = ApiKey.objects.holding(token) if scheme.lower() == "bearer" else None
        if key is None:
            raise AuthenticationFailed("expected a valid API key: Authorization: Bearer <key>")
        return key, key

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002 (DRF's signature)
        """For `WWW-Authenticate`. Without it DRF would answer 403."""
        return 'Bearer realm="api"'


def client_of(request: Request) -> str:
    """The name of the client whose key authenticated the request."""
    return cast("ApiKey", request.auth).client
