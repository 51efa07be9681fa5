"""How a process knows that it was given the right keys."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class KeyCanary(models.Model):
    """A keyed hash of a constant: whoever makes another one has another key."""

    id = models.BigAutoField(primary_key=True)
    setting = models.CharField(max_length=64)
    key_id = models.CharField(max_length=16, help_text="of several keys in one setting, which")
    value = models.BinaryField(max_length=32)

    class Meta:
        db_table = "sealing_key_canary"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["setting", "key_id"], name="sealing_key_canary_one"),
        ]

    def __str__(self) -> str:
        return f"{self.setting} {self.key_id}".rstrip()
