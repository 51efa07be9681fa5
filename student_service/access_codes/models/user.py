"""Whom a code was issued for: sealed, and found by a keyed hash."""

from __future__ import annotations

import hmac
from typing import Any
from uuid import UUID

from admit_one.sealing import cipher
from django.conf import settings
from django.db import models

USER_PURPOSE = "user-id"

ERASED = "erased"
"""The user of a code whose person was erased."""

ERASED_EMAIL = "erased@erased.invalid"
"""Where its mails went. No mail ever goes to `.invalid` (RFC 6761)."""


def user_hash(user_id: str) -> bytes:
    """The keyed hash by which the codes of a user are found. No code has the hash of a user."""
    return cipher.lookup_hash(f"user\0{user_id}", settings.CODE_LOOKUP_KEY)


def user_hash_next(user_id: str) -> bytes | None:
    """The same with `CODE_LOOKUP_KEY_NEXT`, if it is set."""
    key = settings.CODE_LOOKUP_KEY_NEXT
    return None if key is None else cipher.lookup_hash(f"user\0{user_id}", key)


def of_user(user_id: str) -> models.Q:
    """The codes of a user, also while the look-up key is replaced."""
    hashes = [value for value in (user_hash(user_id), user_hash_next(user_id)) if value]
    return models.Q(user_hash__in=hashes) | models.Q(user_hash_next__in=hashes)


def user_columns(subscription_id: UUID, user_id: str) -> dict[str, Any]:
    """The columns of `OfUser` of a new code."""
    return {
        "sealed_user_id": cipher.seal(user_id.encode(), USER_PURPOSE, subscription_id),
        "user_hash": user_hash(user_id),
        "user_hash_next": user_hash_next(user_id),
    }


class OfUser(models.Model):
    """It was issued for somebody. Null of a code that is erased."""

    sealed_user_id = models.BinaryField(null=True, help_text="whom it was issued for, sealed")
    user_hash = models.BinaryField(max_length=32, null=True, help_text="keyed hash of the user")
    user_hash_next = models.BinaryField(
        max_length=32, null=True, help_text="the same with CODE_LOOKUP_KEY_NEXT"
    )

    class Meta:
        abstract = True

    @property
    def user_id(self) -> str:
        """The user in clear. Raises `Unsealable` if its key is gone."""
        if self.sealed_user_id is None:
            return ERASED
        return cipher.unseal(self.sealed_user_id, USER_PURPOSE, self.pk).decode()

    @property
    def readable_user_id(self) -> str | None:
        """The same, but none if its key is gone."""
        try:
            return self.user_id
        except cipher.Unsealable:
            return None

    def is_of(self, user_id: str) -> bool:
        """Whether it was issued for this user; one keyed hash, unless a look-up key changes."""
        if self._has(user_hash(user_id)):
            return True
        to_come = user_hash_next(user_id)
        return to_come is not None and self._has(to_come)

    def _has(self, value: bytes) -> bool:
        known = (self.user_hash, self.user_hash_next)
        return any(hmac.compare_digest(bytes(each or b""), value) for each in known)
