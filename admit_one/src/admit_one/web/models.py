"""API keys, and the first response for each Idempotency-Key."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from datetime import timedelta
from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

TOKEN = re.compile(r"admit_(?P<prefix>[0-9a-f]{12})_(?P<secret>[A-Za-z0-9_-]{43})")

# Each request needs this query, and the ORM takes longer to build it than the database to run it.
BY_PREFIX = """
    SELECT id, client, prefix, digest, created_at, revoked_at FROM web_apikey
    WHERE prefix = %s AND revoked_at IS NULL
"""

KEPT = timedelta(days=30)
"""How long a repeated request gets its first response."""

PRUNE_BATCH = 1_000
"""Rows in one DELETE: each holds its locks for milliseconds."""


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def issue(self, client: str) -> str:
        """A new key for `client`; only its hash is stored."""
        prefix, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        self.create(client=client, prefix=prefix, digest=_digest(secret))
        return f"admit_{prefix}_{secret}"

    def holding(self, token: str) -> ApiKey | None:
        """The valid key that `token` is, or None."""
        parts = TOKEN.fullmatch(token)
        if parts is None:
            return None
        for key in self.raw(BY_PREFIX, [parts["prefix"]]):
            if hmac.compare_digest(bytes(key.digest), _digest(parts["secret"])):
                return key
        return None

    def revoke(self, prefix: str) -> int:
        """Revoke the key with `prefix`; returns how many were revoked, 0 or 1."""
        return self.filter(prefix=prefix, revoked_at__isnull=True).update(revoked_at=Now())


class ApiKey(models.Model):
    """A client's key. A client may have several at a time, so that it can change them."""

    client = models.CharField(max_length=64, help_text="owns what its keys create")
    prefix = models.CharField(
        max_length=12, unique=True, help_text="identifies the key, not secret"
    )
    # A fast hash is right here: 256 random bits cannot be guessed, however fast the guesses.
    digest = models.BinaryField(max_length=32, help_text="SHA-256 of the secret")
    created_at = models.DateTimeField(db_default=Now())
    revoked_at = models.DateTimeField(null=True, blank=True)

    is_authenticated = True  # DRF reads it of a request's user

    objects = ApiKeyQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.prefix} of {self.client}"


class IdempotencyKeyQuerySet(models.QuerySet["IdempotencyKey"]):
    def prune(self) -> int:
        """Delete the keys older than `KEPT`; returns how many."""
        deleted = 0
        old = self.filter(created_at__lt=Now() - KEPT).order_by("created_at")
        while ids := list(old.values_list("id", flat=True)[:PRUNE_BATCH]):
            deleted += self.filter(id__in=ids).delete()[0]
        return deleted


class IdempotencyKey(models.Model):
    """The first request with a client's `Idempotency-Key`, and its response."""

    client = models.CharField(max_length=64)
    key = models.CharField(max_length=255)
    fingerprint = models.BinaryField(max_length=32, help_text="SHA-256 of method, path and body")
    status = models.PositiveSmallIntegerField(null=True)
    location = models.CharField(max_length=255, default="", db_default="")
    body = models.TextField(default="", db_default="")
    created_at = models.DateTimeField(db_default=Now(), db_index=True)

    objects = IdempotencyKeyQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["client", "key"], name="web_idempotency_once"),
        ]

    def __str__(self) -> str:
        return f"{self.key} of {self.client}"


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
