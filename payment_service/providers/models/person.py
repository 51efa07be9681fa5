"""Whom an open event names, by which it is found before it has a subscription."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import ClassVar, Self
from uuid import UUID

from admit_one.sealing import cipher
from django.db import models
from uuid_utils.compat import uuid7

from .event import ProviderEvent

NAME_PURPOSE = "provider-person"


class ProviderPersonQuerySet(models.QuerySet["ProviderPerson"]):
    def named(self, kind: str, names: Collection[str]) -> Self:
        """Those of this kind with one of these names, whichever key made their hashes."""
        hashes = {each for name in names for each in cipher.fingerprints(_hashed(name))}
        return self.filter(kind=kind, name_hash__in=hashes)

    def forget(self, events: Iterable[UUID]) -> None:
        """To be called in the commit in which these events end."""
        self.filter(event__in=list(events)).delete()


class ProviderPerson(models.Model):
    """A user id or an address that an open event names. It goes when the event ends."""

    class Kind(models.TextChoices):
        USER_ID = "user_id", "user id"
        EMAIL = "email", "address"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    event = models.ForeignKey(ProviderEvent, models.CASCADE, related_name="persons")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    name = models.BinaryField(help_text="sealed; an address in lower case")
    name_hash = models.BinaryField(max_length=33, help_text="keyed hash of the name")

    objects = ProviderPersonQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["name_hash"], name="provider_person_name")]

    def __str__(self) -> str:
        return f"{self.kind} in {self.event_id}"

    @classmethod
    def draft(cls, event: ProviderEvent, kind: str, name: str) -> Self:
        row = cls(event=event, kind=kind, name_hash=name_hash(name))
        row.name = cipher.seal(name.encode(), NAME_PURPOSE, row.id)
        return row


def name_hash(name: str) -> bytes:
    """The hash of a name under the key that seals now; `rotate_keys` renews it with the name."""
    return cipher.fingerprint(_hashed(name))


def _hashed(name: str) -> bytes:
    # Marked, because the key of fingerprints hashes bodies of messages, too.
    return f"{NAME_PURPOSE}\0{name}".encode()
