"""The canaries, by which a process checks its keys, and the processes that have keys."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now


class KeyCanary(models.Model):
    """What is derived from a key: another key makes another."""

    id = models.BigAutoField(primary_key=True)
    setting = models.CharField(max_length=64)
    key_id = models.CharField(max_length=16, help_text="which of the setting's keys")
    value = models.BinaryField(max_length=32)

    class Meta:
        db_table = "sealing_key_canary"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["setting", "key_id"], name="sealing_key_canary_one"),
        ]

    def __str__(self) -> str:
        return f"{self.setting} {self.key_id}".rstrip()


class KeyHolder(models.Model):
    """A running process, and which keys it has. A few rows: `holders` says how long they count."""

    id = models.UUIDField(primary_key=True)
    process = models.CharField(max_length=255, help_text="what it is, and where it runs")
    keys = models.JSONField(help_text="the canary of each of its keys, by name")
    seals_with = models.CharField(max_length=16, help_text="the id of the key that it seals with")
    seen_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "sealing_key_holder"

    def __str__(self) -> str:
        return self.process
