"""`settings.SEALING_KEYS`: the keys by key id. The first one seals, all of them unseal."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


def sealing_keys() -> Mapping[str, bytes]:
    """The keys in force. With DEBUG and no keys, one is derived from SECRET_KEY.

    DEBUG at the start counts as well: Django's test runner turns it off later.
    Raises `ImproperlyConfigured` if there is none.
    """
    given: Mapping[str, bytes] = getattr(settings, "SEALING_KEYS", None) or {}
    if given:
        return given
    if settings.DEBUG or apps.get_app_config("sealing").debug:  # type: ignore[attr-defined]
        return _debug_keys(settings.SECRET_KEY)
    raise ImproperlyConfigured(
        "SEALING_KEYS: expected {key id: 32 random bytes}, got none "
        "(with DEBUG = True one is derived from SECRET_KEY)"
    )


@lru_cache(maxsize=1)
def _debug_keys(secret: str) -> Mapping[str, bytes]:
    derive = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"admit-one sealing, DEBUG only")
    return {"debug": derive.derive(secret.encode())}
