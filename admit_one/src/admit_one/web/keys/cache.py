"""Keeps valid API keys for a few seconds, which saves a query for each request.

So a key that is revoked is still accepted for as long.
"""

from __future__ import annotations

import hashlib
import time
from typing import NamedTuple

from django.utils import timezone

from admit_one.web.models import TOKEN, ApiKey

KEPT = 5.0
"""Seconds after which a key is read again."""

MOST = 10_000
"""Keys that a process keeps; beyond that, it forgets the one that it read first."""


class _Kept(NamedTuple):
    key: ApiKey
    read_at: float


class KeyCache:
    """Valid keys by the hash of their token. It holds no token, and no key that was refused."""

    def __init__(self) -> None:
        self._kept: dict[bytes, _Kept] = {}

    def valid(self, token: str) -> ApiKey | None:
        """The valid key that `token` is, or None. Raises a database error."""
        if not TOKEN.fullmatch(token):
            return None
        digest, now = hashlib.sha256(token.encode()).digest(), time.monotonic()
        kept = self._kept.get(digest)
        if kept is not None and now - kept.read_at < KEPT:
            key: ApiKey | None = kept.key
        else:
            key = self._read(digest, token, now)
        return None if key is None or key.has_expired(timezone.now()) else key

    def _read(self, digest: bytes, token: str, now: float) -> ApiKey | None:
        key = ApiKey.objects.holding(token)
        self._kept.pop(digest, None)  # another thread may have read it, too
        if key is not None:
            if len(self._kept) >= MOST:
                self._kept.pop(next(iter(self._kept), digest), None)
            self._kept[digest] = _Kept(key, now)
        return key


keys = KeyCache()
