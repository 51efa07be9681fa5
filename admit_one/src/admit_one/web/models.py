"""API keys, how often each is used, and the first response for each Idempotency-Key."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from functools import cached_property
from typing import ClassVar

from django.db import models, transaction
from django.db.models.functions import Now

from .keys.scopes import written

TOKEN = re.compile(r"admit_(?P<test>test_)?(?P<prefix>[0-9a-f]{12})_(?P<secret>[A-Za-z0-9_-]{43})")

# The ORM takes longer to build this query than the database to run it.
BY_PREFIX = """
    SELECT id, client, prefix, digest, scopes, test, created_at, expires_at, revoked_at
    FROM web_apikey WHERE prefix = %s AND revoked_at IS NULL
"""

KEPT = timedelta(days=30)
"""How long a repeated request gets its first response."""

PRUNE_BATCH = 1_000
"""Rows in one DELETE: each holds its locks for milliseconds."""


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def issue(
        self,
        client: str,
        *,
        scopes: Iterable[str],
        expires_at: datetime | None = None,
        test: bool = False,
    ) -> str:
        """A new key for `client`; only its hash is stored. Raises `UnknownScope`."""
        prefix, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        self.create(
            client=client,
            prefix=prefix,
            digest=_digest(secret),
            scopes=written(scopes),
            expires_at=expires_at,
            test=test,
        )
        return f"admit_{'test_' if test else ''}{prefix}_{secret}"

    def holding(self, token: str) -> ApiKey | None:
        """The key that `token` is, if it is not revoked, or None. It may have expired."""
        parts = TOKEN.fullmatch(token)
        if parts is None:
            return None
        for key in self.raw(BY_PREFIX, [parts["prefix"]]):
            right = hmac.compare_digest(bytes(key.digest), _digest(parts["secret"]))
            if right and key.test == bool(parts["test"]):
                return key
        return None

    def revoke(self, prefix: str) -> int:
        """Revoke the key with `prefix`; returns how many were revoked, 0 or 1."""
        return self.filter(prefix=prefix, revoked_at__isnull=True).update(revoked_at=Now())

    def note_use(self, prefixes: Collection[str], minute: datetime) -> None:
        """Record that these keys were used in this minute. Waits for no other process.

        A key that another process has noted in this minute, or is noting now, is passed over.
        """
        not_noted = models.Q(last_used_at__isnull=True) | models.Q(last_used_at__lt=minute)
        with transaction.atomic():
            due = self.filter(not_noted, prefix__in=prefixes)
            free = due.select_for_update(skip_locked=True).values("id")
            self.filter(id__in=free).update(last_used_at=minute)


class ApiKey(models.Model):
    """A client's key. A client may have several at a time, so that it can change them."""

    client = models.CharField(max_length=64, help_text="owns what its keys create")
    prefix = models.CharField(
        max_length=12, unique=True, help_text="identifies the key, not secret"
    )
    # A fast hash is right here: 256 random bits cannot be guessed, however fast the guesses.
    digest = models.BinaryField(max_length=32, help_text="SHA-256 of the secret")
    # Without a default that allows something: a key has the scopes that somebody gave it.
    scopes = models.CharField(
        max_length=255, db_default="", help_text="what it may do, separated by spaces"
    )
    test = models.BooleanField(db_default=False, help_text="for tests of the client")
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, help_text="to the minute")

    is_authenticated = True  # DRF reads it of a request's user

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = "API key"
        default_permissions = ("view",)
        permissions: ClassVar = [("work_on_apikey", "Can create and revoke API keys")]

    def __str__(self) -> str:
        return f"{self.prefix} of {self.client}"

    @cached_property
    def granted(self) -> frozenset[str]:
        """Its scopes."""
        return frozenset(self.scopes.split())

    def may(self, scope: str) -> bool:
        """Whether it has this scope."""
        return scope in self.granted

    def has_expired(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now

    def state(self, now: datetime) -> str:
        """In words: valid, expired or revoked."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.has_expired(now) else "valid"


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
    updated_at = models.DateTimeField(
        null=True, help_text="in place of the body's, which was kept before the database wrote it"
    )
    created_at = models.DateTimeField(db_default=Now(), db_index=True)

    objects = IdempotencyKeyQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["client", "key"], name="web_idempotency_once"),
        ]

    def __str__(self) -> str:
        return f"{self.key} of {self.client}"


class RateCount(models.Model):
    """How many requests of one subject all processes have counted in a minute, and in the one
    before. `limits.stores.in_database` writes it.
    """

    subject = models.CharField(
        primary_key=True, max_length=80, help_text="a key's prefix, an address, or all"
    )
    minute = models.BigIntegerField(help_text="of the database's clock, since 1970")
    count = models.BigIntegerField(help_text="in this minute")
    previous = models.BigIntegerField(help_text="in the minute before")

    def __str__(self) -> str:
        return f"{self.count} of {self.subject}"


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
